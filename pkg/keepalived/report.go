package keepalived

import (
	"cmp"
	"fmt"
	"slices"
)

// Verdict is what became of a line.
type Verdict string

// The verdicts, in the order of how much an operator has to think about them.
const (
	Converted Verdict = "converted" // vipd does the same
	Changed   Verdict = "changed"   // vipd does it in another way, or need not do it
	Refused   Verdict = "refused"   // vipd does not do it; the note says what to do instead
)

// Finding is what became of one line of keepalived.conf.
type Finding struct {
	File    string  `json:"file"`
	Line    int     `json:"line"` // from 1
	Text    string  `json:"text"` // the line, without its block and without secrets
	Verdict Verdict `json:"verdict"`
	Note    string  `json:"note,omitempty"` // what it became, why, or what to do
}

// At is where the line stands, as in keepalived.conf:12.
func (f Finding) At() string { return fmt.Sprintf("%s:%d", f.File, f.Line) }

// Result is a configuration that was converted.
type Result struct {
	TOML     string // vipd.toml; passes vipd check-config
	Leftover string // blocks of keepalived.conf that were refused as a whole, "" = none
	VIPs     int    // tables of each kind in TOML
	Groups   int
	Checks   int
	Findings []Finding // in the order of the files and lines
	Secrets  []Secret  // that the operator puts into files, so that they are in no other
}

// Count returns how many findings have a verdict.
func (r *Result) Count(v Verdict) int {
	n := 0
	for _, f := range r.Findings {
		if f.Verdict == v {
			n++
		}
	}
	return n
}

// note adds a finding about a statement.
func (c *converter) note(s *statement, v Verdict, format string, args ...any) {
	c.notes(s.place, s.subject(), v, fmt.Sprintf(format, args...))
}

func (c *converter) notes(at place, subject string, v Verdict, note string) {
	c.findings = append(c.findings, Finding{at.file, at.line, subject, v, note})
}

// sorted returns the findings in the order of the files and lines. The same is
// told once only, however often a line was expanded, and that a line is converted
// only when there is nothing else to say about it.
func (c *converter) sorted() []Finding {
	all := c.findings
	slices.SortStableFunc(all, func(f, g Finding) int {
		return cmp.Or(
			cmp.Compare(slices.Index(c.files, f.File), slices.Index(c.files, g.File)),
			cmp.Compare(f.Line, g.Line))
	})
	type subject struct {
		file string
		line int
		text string
	}
	worse, seen := map[subject]bool{}, map[Finding]bool{}
	for _, f := range all {
		if f.Verdict != Converted {
			worse[subject{f.File, f.Line, f.Text}] = true
		}
	}
	return slices.DeleteFunc(all, func(f Finding) bool {
		twice := seen[f] || f.Verdict == Converted && worse[subject{f.File, f.Line, f.Text}]
		seen[f] = true
		return twice
	})
}
