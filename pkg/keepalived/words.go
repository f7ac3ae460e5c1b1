package keepalived

import (
	"errors"
	"strconv"
	"strings"
)

// word is one word of a line.
type word struct {
	text   string
	quoted bool // at least in part: then it is no brace
}

// escapes are the letters behind a backslash that mean another character.
var escapes = map[byte]byte{'a': 7, 'b': 8, 'E': 27, 'f': 12, 'n': 10, 'r': 13, 't': 9, 'v': 11}

// split splits a line into words as keepalived does: quotes of both kinds hold
// spaces, may start in the middle of a word, and do not become part of it.
func split(text string) ([]word, error) {
	var (
		words []word
		now   strings.Builder
		open  byte
		any   bool
		w     word
	)
	flush := func() {
		if any {
			w.text = now.String()
			words = append(words, w)
		}
		now.Reset()
		any, w = false, word{}
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text):
			c, n := escape(text[i+1:])
			now.WriteByte(c)
			i += n
			any = true
		case open != 0 && c == open:
			open = 0
		case open != 0:
			now.WriteByte(c)
		case c == '"' || c == '\'':
			open, any, w.quoted = c, true, true
		case c == ' ' || c == '\t' || c == '\n':
			flush()
		default:
			now.WriteByte(c)
			any = true
		}
	}
	flush()
	if open != 0 {
		return words, errors.New("a quote is not closed")
	}
	return words, nil
}

// escape reads what follows a backslash: the character, and how long it is.
func escape(text string) (c byte, n int) {
	base, digits := 0, 0
	switch {
	case text[0] == 'c' && len(text) > 1:
		return text[1] & 0x1f, 2
	case text[0] == 'x':
		base, digits = 16, 2
		n = 1
	case text[0] >= '0' && text[0] <= '7':
		base, digits = 8, 3
	default:
		if v, ok := escapes[text[0]]; ok {
			return v, 1
		}
		return text[0], 1
	}
	end := n
	for end < len(text) && end-n < digits {
		if _, err := strconv.ParseUint(text[end:end+1], base, 8); err != nil {
			break
		}
		end++
	}
	v, err := strconv.ParseUint(text[n:end], base, 16)
	if err != nil {
		return text[0], 1
	}
	return byte(v), end
}

// arguments splits a command in quotes into the program and its arguments.
func arguments(command string) []string {
	words, _ := split(strings.ReplaceAll(command, `\`, `\\`))
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.text
	}
	return out
}
