// Command summary reads what go test -json prints and says what a human wants to
// know: a line for each package, the output of every test that failed, why tests
// were skipped, and at the end how many passed and failed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
	if !s.end() {
		os.Exit(1)
	}
}

// event is one line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

// id names a test, or with an empty test a package.
type id struct{ pkg, test string }

// summary counts tests. One that has subtests counts as these.
type summary struct {
	out             io.Writer
	output          map[id][]string
	parents         map[id]bool // have subtests
	broken          map[id]bool // failed, or have a subtest that did
	skipped         map[string]int
	passed, failed  int
	packages, empty int
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, output: map[id][]string{}, parents: map[id]bool{}, broken: map[id]bool{}, skipped: map[string]int{}}
}

// read takes events until the end of r. Lines that are no events are go's own
// words, and are passed on.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var ev event
		if json.Unmarshal(lines.Bytes(), &ev) != nil {
			s.say("%s\n", lines.Text())
			continue
		}
		s.take(ev)
	}
	return lines.Err()
}

func (s *summary) take(ev event) {
	me := id{ev.Package, ev.Test}
	switch ev.Action {
	case "run":
		if up, ok := me.parent(); ok {
			s.parents[up] = true
		}
	case "output":
		s.output[me] = append(s.output[me], ev.Output)
	case "build-output":
		s.say("%s", ev.Output)
	case "pass", "fail", "skip":
		if ev.Test == "" {
			s.packageEnds(me, ev)
		} else {
			s.testEnds(me, ev.Action)
		}
		delete(s.output, me)
	}
}

// parent is the test that me is a subtest of.
func (me id) parent() (id, bool) {
	slash := strings.LastIndexByte(me.test, '/')
	return id{me.pkg, me.test[:max(slash, 0)]}, slash > 0
}

func (s *summary) testEnds(me id, action string) {
	switch {
	case action == "fail":
		if !s.broken[me] { // else a subtest was counted, and said what is wrong
			s.failed++
		}
		s.say("%s", strings.Join(s.output[me], ""))
		for at, ok := me, true; ok; at, ok = at.parent() {
			s.broken[at] = true
		}
		s.broken[id{pkg: me.pkg}] = true
	case action == "skip":
		s.skipped[reason(s.output[me])]++
	case !s.parents[me]:
		s.passed++
	}
}

func (s *summary) packageEnds(me id, ev event) {
	name := strings.TrimPrefix(me.pkg, "github.com/vipd/vipd/")
	switch ev.Action {
	case "skip": // no test files
		s.empty++
		return
	case "fail":
		if !s.broken[me] { // it did not build, or ended outside of a test
			s.failed++
			s.say("%s", strings.Join(s.output[me], ""))
		}
		s.say("FAIL %s (%.1fs)\n", name, ev.Elapsed)
	case "pass":
		s.say("ok   %s (%.1fs)\n", name, ev.Elapsed)
	}
	s.packages++
}

// end prints the totals and reports whether all is well.
func (s *summary) end() bool {
	for _, why := range slices.Sorted(maps.Keys(s.skipped)) {
		s.say("skipped %d: %s\n", s.skipped[why], why)
	}
	if s.packages == 0 {
		s.say("no test was run\n")
	}
	s.say("%d passed, %d failed\n", s.passed, s.failed)
	return s.failed == 0 && s.packages > 0
}

// reason is what a test said when it was skipped: "    x_test.go:12: why".
func reason(output []string) string {
	for _, line := range output {
		if place, why, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && strings.Contains(place, ".go:") {
			return why
		}
	}
	return "no reason given"
}

func (s *summary) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.out, format, args...) // nowhere to report it to
}
