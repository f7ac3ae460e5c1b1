package keepalived

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// maxSequence is the most rounds of one ~SEQ.
const maxSequence = maxLines

var sequenceStart = regexp.MustCompile(`^\s*~(SEQx?|LST)\(`)

// sequence reads ~SEQ(...) or ~LST(...) at the start of a line: the values that
// its variables take, round by round, and the rest of the line.
func sequence(text string) (rest string, rounds []map[string]string, ok bool, err error) {
	m := sequenceStart.FindStringSubmatch(text)
	if m == nil {
		return "", nil, false, nil
	}
	inner, rest, closed := strings.Cut(text[len(m[0]):], ")")
	if !closed {
		return "", nil, false, fmt.Errorf("~%s( is not closed", m[1])
	}
	fields := fields(inner)
	if len(fields) < 2 {
		return "", nil, false, fmt.Errorf("~%s needs a variable and values", m[1])
	}
	if m[1] == "LST" {
		rounds, err = listRounds(fields[0], fields[1:])
	} else {
		rounds, err = numberRounds(fields[0], fields[1:], m[1] == "SEQx")
	}
	return rest, rounds, err == nil, err
}

// fields splits at commas outside of braces.
func fields(text string) []string {
	var out []string
	depth, start := 0, 0
	for i, c := range text {
		switch {
		case c == '{':
			depth++
		case c == '}':
			depth--
		case c == ',' && depth == 0:
			out, start = append(out, strings.TrimSpace(text[start:i])), i+1
		}
	}
	return append(out, strings.TrimSpace(text[start:]))
}

// unbrace returns the elements of {a,b}, or the text itself.
func unbrace(text string) []string {
	if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
		return []string{text}
	}
	return fields(text[1 : len(text)-1])
}

func listRounds(vars string, values []string) ([]map[string]string, error) {
	names := unbrace(vars)
	var rounds []map[string]string
	for _, v := range values {
		elements := []string{v}
		if len(names) > 1 {
			elements = unbrace(v)
		}
		if len(elements) != len(names) {
			return nil, fmt.Errorf("~LST: %s has %d values for %d variables", v, len(elements), len(names))
		}
		set := map[string]string{}
		for i, name := range names {
			set[name] = elements[i]
		}
		rounds = append(rounds, set)
	}
	return rounds, nil
}

// numberRounds counts: (end), (start, end) or (start, step, end).
func numberRounds(name string, values []string, hex bool) ([]map[string]string, error) {
	var n []int64
	for _, v := range values {
		number, err := strconv.ParseInt(v, 0, 32)
		if err != nil {
			return nil, fmt.Errorf("~SEQ: %q is not a number", v)
		}
		n = append(n, number)
	}
	var start, step, end int64
	switch len(n) {
	case 1:
		end = n[0]
		start = 1
		if end < 0 {
			start = -1
		}
	case 2:
		start, end = n[0], n[1]
	case 3:
		start, step, end = n[0], n[1], n[2]
	default:
		return nil, fmt.Errorf("~SEQ takes a start, a step and an end, not %d numbers", len(n))
	}
	if len(n) < 3 {
		step = 1
		if end < start {
			step = -1
		}
	}
	if step == 0 || (end-start)/step > maxSequence {
		return nil, fmt.Errorf("~SEQ: more than %d rounds", maxSequence)
	}
	base := 10
	if hex {
		base = 16
	}
	var rounds []map[string]string
	for i := start; step > 0 && i <= end || step < 0 && i >= end; i += step {
		rounds = append(rounds, map[string]string{name: strconv.FormatInt(i, base)})
	}
	return rounds, nil
}
