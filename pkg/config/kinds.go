package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is a type of value with its range.
type kind interface {
	// allowed says what a value may be, as printed in the manual.
	allowed() string
	// parse turns the value of n into ours. What is wrong with it is reported, and
	// then there is no value.
	parse(r *reporter, n *node) (any, bool)
}

// integer is a whole number; its value is an int.
type integer struct{ min, max int64 }

func (k integer) allowed() string { return fmt.Sprintf("%d–%d", k.min, k.max) }

func (k integer) parse(r *reporter, n *node) (any, bool) {
	v, ok := n.value.(int64)
	if !ok {
		hint := ""
		if s, isText := n.value.(string); isText {
			if _, err := strconv.Atoi(s); err == nil {
				hint = fmt.Sprintf("write it without quotes: `%s = %s`", n.name, s)
			}
		}
		r.mismatch(n, "a whole number, "+k.allowed(), hint)
		return nil, false
	}
	if v < k.min || v > k.max {
		r.wrong(n, fmt.Sprintf("%s is outside %s", n.raw(), k.allowed()), "")
		return nil, false
	}
	return int(v), true
}

// boolean is true or false.
type boolean struct{}

func (boolean) allowed() string { return "true or false" }

func (boolean) parse(r *reporter, n *node) (any, bool) {
	v, ok := n.value.(bool)
	if !ok {
		hint := ""
		switch strings.ToLower(strings.Trim(n.raw(), `"'`)) {
		case "true", "yes", "on", "1":
			hint = fmt.Sprintf("write `%s = true`", n.name)
		case "false", "no", "off", "0":
			hint = fmt.Sprintf("write `%s = false`", n.name)
		}
		r.mismatch(n, "true or false", hint)
	}
	return v, ok
}

// choice is one of some words; its value is a string.
type choice []string

func (k choice) allowed() string {
	quoted := make([]string, len(k))
	for i, w := range k {
		quoted[i] = strconv.Quote(w)
	}
	return join(quoted, "or")
}

func (k choice) parse(r *reporter, n *node) (any, bool) {
	s, ok := r.text(n, k.allowed())
	if ok && !slices.Contains(k, s) {
		hint := ""
		if near := nearest(s, k); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		r.wrong(n, fmt.Sprintf("%s is not %s", n.raw(), k.allowed()), hint)
		return nil, false
	}
	return s, ok
}

// text is a string with a form; its value is a string.
type text struct {
	what  string             // "an absolute path"
	check func(string) error // says what is wrong with it
	free  bool               // may be empty and hold anything but NUL
}

func (k text) allowed() string { return k.what }

func (k text) parse(r *reporter, n *node) (any, bool) {
	s, ok := r.text(n, k.what)
	if !ok {
		return nil, false
	}
	err := plain(s)
	if k.free {
		err = noNUL(s)
	}
	if err == nil && k.check != nil {
		err = k.check(s)
	}
	if err != nil {
		r.wrong(n, fmt.Sprintf("%s %v", n.raw(), err), "")
		return nil, false
	}
	return s, true
}

// duration is a time with a unit; its value is a time.Duration.
type duration struct {
	min, max time.Duration
	orZero   bool // 0s is allowed below min
}

func (k duration) allowed() string {
	s := words(k.min) + "–" + words(k.max)
	if k.orZero {
		s = "0s, or " + s
	}
	return s
}

func (k duration) parse(r *reporter, n *node) (any, bool) {
	switch v := n.value.(type) {
	case string:
		d, err := time.ParseDuration(v)
		if err != nil || v == "0" {
			r.wrong(n, n.raw()+" is not a duration", durationHint(n, v))
			return nil, false
		}
		if never := k.orZero && d == 0; !never && (d < k.min || d > k.max) {
			r.wrong(n, fmt.Sprintf("%s is outside %s", v, k.allowed()), "")
			return nil, false
		}
		return d, true
	case int64, float64:
		r.wrong(n, n.raw()+" has no unit", durationHint(n, n.raw()))
	default:
		r.mismatch(n, "a duration, "+k.allowed(), "")
	}
	return nil, false
}

// interval is a duration whose range depends on the version of VRRP; the rules
// know which it is.
type interval struct{}

func (interval) allowed() string {
	return "10ms–40.95s in steps of 10ms; version 2: 1s–255s in whole seconds"
}

func (k interval) parse(r *reporter, n *node) (any, bool) {
	v, ok := duration{10 * time.Millisecond, maxInterval2, false}.parse(&reporter{}, n)
	if d, isText := n.value.(string); !ok && isText {
		if _, err := time.ParseDuration(d); err == nil && d != "0" {
			r.wrong(n, fmt.Sprintf("%s is outside %s", d, k.allowed()), "")
			return nil, false
		}
	}
	if !ok {
		return duration{}.parse(r, n)
	}
	return v, ok
}

// durationHint tells how to write a duration.
func durationHint(n *node, text string) string {
	if v, err := strconv.ParseFloat(text, 64); err == nil && v >= 0 {
		return fmt.Sprintf("durations are strings with a unit: \"%ss\" or \"%sms\"", text, text)
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if v, err := strconv.ParseFloat(days, 64); err == nil && v > 0 {
			return fmt.Sprintf("a day is 24h: `%s = \"%gh\"`", n.name, 24*v)
		}
	}
	return fmt.Sprintf("write a number and a unit (ms, s, m, h), as in `%s = \"500ms\"`", n.name)
}

// list is an array of values of one kind; its value is a []any.
type list struct{ of kind }

func (k list) allowed() string { return "a list, each " + k.of.allowed() }

func (k list) parse(r *reporter, n *node) (any, bool) {
	if !n.isList() {
		hint := ""
		if s, ok := n.value.(string); ok && s != "" {
			hint = fmt.Sprintf("write it as a list: `%s = [%s]`", n.name, quoteFields(s))
		}
		r.mismatch(n, "a list", hint)
		return nil, false
	}
	values, ok := make([]any, 0, len(n.list)), true
	for _, element := range n.list {
		v, good := k.of.parse(r, element)
		if good {
			element.parsed = v
			values = append(values, v)
		}
		ok = ok && good
	}
	return values, ok
}

// quoteFields turns the words of a string into elements of a list.
func quoteFields(s string) string {
	fields := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
	for i, f := range fields {
		fields[i] = strconv.Quote(f)
	}
	return strings.Join(fields, ", ")
}

// text returns the string that n holds.
func (r *reporter) text(n *node, what string) (string, bool) {
	s, ok := n.value.(string)
	if !ok {
		hint := ""
		if _, number := n.value.(int64); number {
			hint = fmt.Sprintf("write it in quotes: `%s = %q`", n.name, n.raw())
		}
		r.mismatch(n, what, hint)
	}
	return s, ok
}

// mismatch reports a value of another type.
func (r *reporter) mismatch(n *node, want, hint string) {
	r.wrong(n, fmt.Sprintf("this is %s, must be %s", n.typeName(), want), hint)
}

// typeName says what TOML thinks that n is.
func (n *node) typeName() string {
	switch n.value.(type) {
	case string:
		return "a string"
	case int64:
		return "a whole number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "a boolean"
	case time.Time:
		return "a date or time"
	}
	if n.isTable() {
		return "a table"
	}
	return "a list"
}

// words writes a duration as one would type it: 1m instead of 1m0s.
func words(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// join writes a list in words: "a, b or c".
func join(list []string, last string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	n := len(list) - 1
	return strings.Join(list[:n], ", ") + " " + last + " " + list[n]
}
