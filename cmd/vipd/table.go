package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// cell is one place in a table.
type cell struct {
	text  string
	style style
}

// table is aligned text. Its first row is the headings.
type table struct {
	rows [][]cell
	gap  int
}

// newTable makes a table with headings.
func newTable(headings ...string) *table {
	t := &table{gap: 2}
	t.add(cells(headings...)...)
	for i := range t.rows[0] {
		t.rows[0][i].style = bold
	}
	return t
}

// cells makes plain cells.
func cells(texts ...string) []cell {
	row := make([]cell, 0, len(texts))
	for _, text := range texts {
		row = append(row, cell{text: text})
	}
	return row
}

// add appends a row. Control characters and line feeds are replaced.
func (t *table) add(row ...cell) {
	for i := range row {
		row[i].text = strings.ReplaceAll(clean(row[i].text), "\n", " ")
	}
	t.rows = append(t.rows, row)
}

// drop removes the columns in which no row but the heading has anything.
func (t *table) drop() {
	keep := make([]bool, len(t.rows[0]))
	for _, row := range t.rows[1:] {
		for i, c := range row {
			keep[i] = keep[i] || c.text != ""
		}
	}
	for n, row := range t.rows {
		left := make([]cell, 0, len(row))
		for i, c := range row {
			if keep[i] {
				left = append(left, c)
			}
		}
		t.rows[n] = left
	}
}

// print writes the table. On a terminal, lines that are too long are cut.
func (t *tui) printTable(tab *table, cut bool) {
	t.changes.look(tab)
	widths := make([]int, len(tab.rows[0]))
	for _, row := range tab.rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range tab.rows {
		var line strings.Builder
		column := 0
		for i, c := range row {
			text := c.text
			if cut && t.width > 0 {
				text = shorten(text, t.width-column)
			}
			line.WriteString(t.paint(c.style, text))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+tab.gap))
			}
			column += widths[i] + tab.gap
		}
		_, _ = fmt.Fprintln(t.out, strings.TrimRight(line.String(), " "))
	}
}

// shorten cuts a text to a number of columns.
func shorten(text string, columns int) string {
	if columns <= 0 {
		return ""
	}
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	return string([]rune(text)[:columns-1]) + "…"
}
