package main

import "time"

// standOut is how long a changed cell stands out.
const standOut = 2 * time.Second

// changes remembers the cells of a screen that is drawn again and again, and
// which of them have just changed.
type changes struct {
	now   time.Time // of the picture that is drawn
	cells map[string]remembered
}

// remembered is a cell as it was seen, and when it became so; the zero time is
// that it always was.
type remembered struct {
	text string
	at   time.Time
}

// style is how a cell is to be drawn: turned when it has just changed.
func (c *changes) style(key, text string, usual style) style {
	if c == nil {
		return usual
	}
	was, known := c.cells[key]
	if !known {
		c.cells[key] = remembered{text: text}
		return usual
	}
	if was.text != text {
		was = remembered{text, c.now}
		c.cells[key] = was
	}
	if !was.at.IsZero() && c.now.Sub(was.at) < standOut {
		return turned
	}
	return usual
}

// look restyles the cells of a table that have changed. Ages always change, and
// do not count.
func (c *changes) look(tab *table) {
	if c == nil || len(tab.rows) == 0 {
		return
	}
	headings := tab.rows[0]
	for _, row := range tab.rows[1:] {
		for i := range row {
			if headings[i].text != "SINCE" {
				row[i].style = c.style(headings[0].text+" "+row[0].text+" "+headings[i].text, row[i].text, row[i].style)
			}
		}
	}
}
