package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
)

// table is one measurement: a row for each figure, a column for each daemon.
type table struct {
	title, text string
	keys        []string // labels of the rows that the summary shows
	mu          sync.Mutex
	part        *part    // of the document
	columns     []string // the daemons in order, ours first
	rivals      []string // the columns that ours is compared with, by the best of them
	rows        []*row
	failures    map[string][]string
}

// row is one figure.
type row struct {
	label, unit string
	samples     map[string][]float64 // by daemon
}

func newTable(title, text string, keys ...string) *table {
	return &table{
		title: title, text: text, keys: keys, part: &failovers, columns: []string{"vipd", "keepalived", "frr"}, rivals: []string{"keepalived"},
		failures: map[string][]string{},
	}
}

// guard makes it a table of the chapter about the guard.
func (t *table) guard(columns ...string) *table {
	t.part, t.columns = &guards, columns
	return t
}

// against makes it a table of the anycast part, of these columns and rivals.
func (t *table) against(columns []string, rivals ...string) *table {
	t.part, t.columns, t.rivals = &announcements, columns, rivals
	return t
}

// best returns the samples of the rival with the lowest median, and its name.
func (t *table) best(r *row) (samples []float64, name string) {
	for _, c := range t.rivals {
		if s := r.samples[c]; len(s) > 0 && (name == "" || median(s) < median(samples)) {
			samples, name = s, c
		}
	}
	return samples, name
}

// comparison heads the column of ratios.
func (t *table) comparison() string {
	if len(t.rivals) == 1 {
		return t.columns[0] + " ÷ " + t.rivals[0]
	}
	return t.columns[0] + " ÷ the best"
}

// add adds a sample. It may be called from any goroutine.
func (t *table) add(label, unit, daemon string, value float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.row(label, unit)
	r.samples[daemon] = append(r.samples[daemon], value)
}

// row returns the row of that label, and makes it if there is none.
func (t *table) row(label, unit string) *row {
	if i := slices.IndexFunc(t.rows, func(r *row) bool { return r.label == label }); i >= 0 {
		return t.rows[i]
	}
	r := &row{label: label, unit: unit, samples: map[string][]float64{}}
	t.rows = append(t.rows, r)
	return r
}

// failed notes a run that gave no figures.
func (t *table) failed(daemon string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text, _, _ := strings.Cut(err.Error(), "\n")
	t.failures[daemon] = append(t.failures[daemon], text)
}

// markdown writes the table.
func (t *table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", t.title, t.text)
	fmt.Fprintf(&b, "| | %s | %s |\n|%s\n", strings.Join(t.columns, " | "), t.comparison(), strings.Repeat("---|", len(t.columns)+2))
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s |", r.name())
		for _, c := range t.columns {
			fmt.Fprintf(&b, " %s |", cell(r.samples[c]))
		}
		theirs, _ := t.best(r)
		fmt.Fprintf(&b, " %s |\n", ratio(r.samples[t.columns[0]], theirs))
	}
	for _, c := range t.columns {
		if list := t.failures[c]; len(list) > 0 {
			fmt.Fprintf(&b, "\nRuns of %s that gave no figures: %d (%s).\n", c, len(list), list[0])
		}
	}
	return b.String() + "\n"
}

// summary writes the rows of t that matter most, medians only.
func (t *table) summary() string {
	var b strings.Builder
	for _, r := range t.rows {
		ours := r.samples[t.columns[0]]
		theirs, name := t.best(r)
		if !slices.Contains(t.keys, r.label) || len(ours) == 0 {
			continue
		}
		other := "–"
		switch {
		case len(theirs) > 0 && len(t.rivals) > 1:
			other = figure(median(theirs)) + " (" + name + ")"
		case len(theirs) > 0:
			other = figure(median(theirs))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", t.title, r.name(), figure(median(ours)), other, ratio(ours, theirs))
	}
	return b.String()
}

// name is the label with the unit.
func (r *row) name() string {
	if r.unit == "" {
		return r.label
	}
	return r.label + ", " + r.unit
}

// cell prints minimum, median, maximum and number of samples.
func cell(samples []float64) string {
	if len(samples) == 0 {
		return "–"
	}
	lo, hi := slices.Min(samples), slices.Max(samples)
	if lo == hi {
		return fmt.Sprintf("**%s** (n %d)", figure(lo), len(samples))
	}
	return fmt.Sprintf("%s / **%s** / %s (n %d)", figure(lo), figure(median(samples)), figure(hi), len(samples))
}

// ratio compares the medians.
func ratio(ours, theirs []float64) string {
	if len(ours) == 0 || len(theirs) == 0 {
		return "–"
	}
	a, b := median(ours), median(theirs)
	switch {
	case a == b:
		return "1"
	case b == 0 || math.IsInf(a, 1):
		return "–"
	}
	return figure(a / b)
}

// never is a sample of what did not happen within the time that a run waits for it.
var never = math.Inf(1)

// figure prints three significant digits without an exponent.
func figure(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "never"
	case v == 0:
		return "0"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// median is the middle one, or the mean of the two in the middle.
func median(samples []float64) float64 {
	s := slices.Sorted(slices.Values(samples))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}
