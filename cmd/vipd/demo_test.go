package main

import (
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/internal/demo"
)

// demoDocument is a run in which the second of two acts went wrong.
func demoDocument() *demo.Document {
	return &demo.Document{
		Took: 15321 * time.Millisecond, Sent: 14261, Lost: 401, Allowance: 100 * time.Millisecond,
		Acts: []demo.Result{
			{Name: "steady", OK: true, From: "lb1", To: "lb1", Expected: "nothing happens"},
			{Name: "service-down", From: "lb1", To: "lb2", Outage: 1401234 * time.Microsecond, Lost: 1401, Limit: 160937500, Expected: "2 checks + Skew_Time"},
		},
		NotPrevented: []string{"a cut"},
	}
}

func TestPrintDemo(t *testing.T) {
	t.Parallel()
	const rows = `
ACT           ANSWERS     OUTAGE     LOST  LIMIT                           RESULT
steady        lb1         none       0     none      nothing happens       ok
service-down  lb1 -> lb2  1401.2 ms  1401  160.9 ms  2 checks + Skew_Time  FAILED
`
	const end = `
14261 probes in 15.3s, 401 lost. LIMIT is what the protocol itself waits; a busy
machine may add 100.0 ms. Nothing was left behind: no process, file or network.

Not shown, and not prevented by what the two hosts are told here:
  - a cut
takeover = "fence", see vipd-fence(7), and "votes" (docs/witness.md) prevent it.
`
	doc := demoDocument()
	for _, test := range []struct {
		ok   bool
		want string
	}{{false, rows}, {true, rows + end}} {
		var out strings.Builder
		doc.OK = test.ok
		a := &app{tui: newTUI(&out, io.Discard)}
		a.printDemo(doc)
		if diff := cmp.Diff(test.want, out.String()); diff != "" {
			t.Errorf("ok=%t (-want +got):\n%s", test.ok, diff)
		}
	}
	for line := range strings.Lines(end) {
		if n := utf8.RuneCountInString(line); n > 81 {
			t.Errorf("%d columns: %q", n-1, line)
		}
	}
}
