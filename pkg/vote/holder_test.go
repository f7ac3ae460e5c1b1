package vote

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script plays one Holder, lb1 of a pair with a witness: a lease of 250ms, asks
// every 100ms, promises of 851ms. Each line is a time and an event, and is answered
// by what it sends and how it stands.
//
//	0ms want             0ms lb2 grants       0ms rack3 refuses lb2 500ms     0ms lb1 sits 300ms
//	0ms rack3 old 7      0ms rack3 loses      0ms rack3 frees                 0ms drop, retry, wake
//	0ms fenced 2s        0ms seen 7
type script struct {
	h    *Holder
	last map[string]uint64
}

func newScript(hold bool) *script {
	cfg := Electorate("lb1", []string{"lb2"}, []Witness{{Name: "rack3"}}, 250*ms, 100*ms)
	cfg.Hold = hold
	return &script{NewHolder(cfg, 0), map[string]uint64{}}
}

func (s *script) play(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(line)
	d, err := time.ParseDuration(words[0])
	if err != nil {
		t.Fatal(err)
	}
	var ev Event
	switch words[1] {
	case "want":
		ev = Want{}
	case "drop":
		ev = Drop{}
	case "retry":
		ev = Retry{}
	case "wake":
		ev = Wake{}
	case "seen":
		var seen Seen
		if _, err := fmt.Sscan(words[2], &seen.Epoch); err != nil {
			t.Fatal(err)
		}
		ev = seen
	case "fenced":
		long, err := time.ParseDuration(words[2])
		if err != nil {
			t.Fatal(err)
		}
		ev = Fenced{"lb2", at(d + long)}
	default:
		a := Answer{Number: s.last[words[1]], Epoch: s.h.epoch}
		switch words[2] {
		case "grants":
			a.Kind = Granted
		case "loses":
			a.Kind = Lost
		case "frees":
			a = Answer{Kind: Freed}
		case "refuses":
			a.Kind, a.Why, a.Owner = Refused, Promised, words[3]
			a.Remaining, err = time.ParseDuration(words[4])
		case "sits":
			a.Kind, a.Why = Refused, SitsOut
			a.Remaining, err = time.ParseDuration(words[3])
		case "old":
			a.Kind, a.Why = Refused, OldEpoch
			_, err = fmt.Sscan(words[3], &a.Epoch)
		}
		if err != nil {
			t.Fatal(err)
		}
		ev = Answered{words[1], a}
	}
	var out []string
	for _, send := range s.h.Step(at(d), ev) {
		s.last[send.To] = send.Ask.Number
		kind := map[AskKind]string{Renew: "ask", Release: "release"}[send.Ask.Kind]
		out = append(out, fmt.Sprintf("%s %s epoch=%d", kind, send.To, send.Ask.Epoch))
	}
	stands := s.h.Stage().String()
	if s.h.MayTake(at(d)) {
		stands += " take"
	}
	if s.h.MayRenewLease(at(d)) {
		stands += " renew"
	}
	if next := s.h.Next(); !next.IsZero() {
		stands += " next=" + next.Sub(epoch).String()
	}
	return strings.Join(append(out, stands), "; ")
}

// TestHolder: what it sends, and how it stands, event by event.
func TestHolder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hold  bool
		lines []string // events, and after each what follows
	}{
		"a takeover, renewals, and a release": {false, []string{
			"0ms want", "ask lb1 epoch=1; asking next=100ms",
			"0ms lb1 grants", "ask lb2 epoch=1; ask rack3 epoch=1; asking next=100ms",
			"1ms rack3 grants", "held take renew next=100ms",
			"100ms wake", "ask lb1 epoch=1; ask lb2 epoch=1; ask rack3 epoch=1; held take renew next=200ms",
			"150ms drop", "release lb1 epoch=1; release lb2 epoch=1; release rack3 epoch=1; idle next=250ms",
			"250ms wake", "release lb1 epoch=1; release lb2 epoch=1; release rack3 epoch=1; idle next=350ms",
			"350ms wake", "release lb1 epoch=1; release lb2 epoch=1; release rack3 epoch=1; idle next=450ms",
			"450ms wake", "idle next=10.15s",
		}},
		"the own vote is promised: nobody is bothered": {false, []string{
			"0ms want", "ask lb1 epoch=1; asking next=100ms",
			"0ms lb1 refuses lb2 400ms", "waiting next=400ms",
			"400ms wake", "ask lb1 epoch=2; asking next=500ms",
		}},
		"a dead holder: it asks again when the promise to that is over": {false, []string{
			"0ms want", "ask lb1 epoch=1; asking next=100ms",
			"0ms lb1 grants", "ask lb2 epoch=1; ask rack3 epoch=1; asking next=100ms",
			"1ms rack3 refuses lb2 40ms", "asking next=41ms",
			"41ms wake", "ask rack3 epoch=1; asking next=141ms",
			"42ms rack3 grants", "held take renew next=100ms",
		}},
		"what is in its way goes early: it asks at once": {false, []string{
			"0ms rack3 frees", "release rack3 epoch=0; idle next=100ms",
			"1ms want", "ask lb1 epoch=1; asking next=100ms",
			"1ms lb1 grants", "ask lb2 epoch=1; ask rack3 epoch=1; asking next=101ms",
			"2ms lb2 refuses lb2 800ms", "asking next=101ms",
			"2ms rack3 refuses lb2 800ms", "release lb1 epoch=1; waiting next=102ms",
			"50ms rack3 frees", "ask lb1 epoch=2; asking next=150ms",
			"50ms lb1 grants", "ask lb2 epoch=2; ask rack3 epoch=2; asking next=150ms",
			"51ms rack3 frees", "asking next=150ms",
			"52ms rack3 grants", "held take renew next=150ms",
			"53ms rack3 frees", "held take renew next=150ms",
		}},
		"the other host has released it, and the witness hears that later": {false, []string{
			"0ms want", "ask lb1 epoch=1; asking next=100ms",
			"0ms lb1 refuses lb2 800ms", "waiting next=800ms",
			"10ms retry", "ask lb1 epoch=2; asking next=110ms",
			"10ms lb1 grants", "ask lb2 epoch=2; ask rack3 epoch=2; asking next=110ms",
			"11ms rack3 refuses lb2 700ms", "asking next=16ms",
			"16ms wake", "ask rack3 epoch=2; asking next=116ms",
			"17ms rack3 refuses lb2 700ms", "asking next=37ms",
			"37ms wake", "ask rack3 epoch=2; asking next=137ms",
			"38ms rack3 grants", "held take renew next=110ms",
		}},
		"a newer holder is known": {false, []string{
			"0ms want", "ask lb1 epoch=1; asking next=100ms",
			"0ms lb1 grants", "ask lb2 epoch=1; ask rack3 epoch=1; asking next=100ms",
			"1ms rack3 old 7", "ask lb1 epoch=8; asking next=101ms",
			"1ms lb1 grants", "ask lb2 epoch=8; ask rack3 epoch=8; asking next=101ms",
			"2ms rack3 grants", "held take renew next=101ms",
		}},
		"a newer holder is heard of while it asks": {false, []string{
			"0ms want", "ask lb1 epoch=1; asking next=100ms",
			"0ms lb1 grants", "ask lb2 epoch=1; ask rack3 epoch=1; asking next=100ms",
			"1ms seen 7", "ask lb1 epoch=8; asking next=101ms",
			"1ms lb1 grants", "ask lb2 epoch=8; ask rack3 epoch=8; asking next=101ms",
			"2ms seen 7", "asking next=101ms",
			"2ms rack3 grants", "held take renew next=101ms",
		}},
		"a newer holder is heard of when it has a majority": {false, []string{
			"0ms want", "ask lb1 epoch=1; asking next=100ms",
			"0ms lb1 grants", "ask lb2 epoch=1; ask rack3 epoch=1; asking next=100ms",
			"1ms rack3 grants", "held take renew next=100ms",
			"2ms seen 7", "held take renew next=100ms",
			"100ms wake", "ask lb1 epoch=8; ask lb2 epoch=8; ask rack3 epoch=8; held take renew next=200ms",
		}},
		"a voter that has just started is done without": {false, []string{
			"0ms want", "ask lb1 epoch=1; asking next=100ms",
			"0ms lb1 sits 851ms", "ask lb2 epoch=1; ask rack3 epoch=1; asking next=100ms",
			"1ms lb2 grants", "asking next=100ms",
			"1ms rack3 grants", "held take renew next=100ms",
		}},
		"no majority any more: the lease ends first, then the votes": {false, []string{
			"0ms want", "ask lb1 epoch=1; asking next=100ms",
			"0ms lb1 grants", "ask lb2 epoch=1; ask rack3 epoch=1; asking next=100ms",
			"0ms rack3 grants", "held take renew next=100ms",
			"350ms wake", "ask lb1 epoch=1; ask lb2 epoch=1; ask rack3 epoch=1; held take renew next=450ms",
			"351ms lb1 grants", "held next=450ms",
			"851ms wake", "waiting",
			"852ms drop", "release lb1 epoch=1; release lb2 epoch=1; release rack3 epoch=1; idle next=952ms",
		}},
		"no majority any more, and it goes on": {true, []string{
			"0ms want", "ask lb1 epoch=1; asking next=100ms",
			"0ms lb1 grants", "ask lb2 epoch=1; ask rack3 epoch=1; asking next=100ms",
			"0ms rack3 grants", "held take renew next=100ms",
			"351ms wake", "ask lb1 epoch=1; ask lb2 epoch=1; ask rack3 epoch=1; held renew next=451ms",
			"851ms wake", "ask lb1 epoch=1; ask lb2 epoch=1; ask rack3 epoch=1; clinging renew next=951ms",
			"852ms rack3 refuses lb2 800ms", "waiting",
		}},
		"a fence is a vote, until it is not": {false, []string{
			"0ms want", "ask lb1 epoch=1; asking next=100ms",
			"0ms lb1 grants", "ask lb2 epoch=1; ask rack3 epoch=1; asking next=100ms",
			"1ms fenced 5s", "held take renew next=100ms",
			"2ms fenced 0s", "waiting",
			"102ms wake", "waiting", // the kernel may answer still
			"103ms drop", "release lb1 epoch=1; release lb2 epoch=1; release rack3 epoch=1; idle next=203ms",
		}},
		"a vote that is lost is gone at once": {false, []string{
			"0ms want", "ask lb1 epoch=1; asking next=100ms",
			"0ms lb1 grants", "ask lb2 epoch=1; ask rack3 epoch=1; asking next=100ms",
			"0ms rack3 grants", "held take renew next=100ms",
			"50ms rack3 loses", "waiting",
		}},
		"what is answered after the release counts for nothing": {false, []string{
			"0ms want", "ask lb1 epoch=1; asking next=100ms",
			"0ms lb1 grants", "ask lb2 epoch=1; ask rack3 epoch=1; asking next=100ms",
			"1ms drop", "release lb1 epoch=1; release lb2 epoch=1; release rack3 epoch=1; idle next=101ms",
			"2ms want", "ask lb1 epoch=2; asking next=101ms",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScript(test.hold)
			for i := 0; i+1 < len(test.lines); i += 2 {
				if diff := cmp.Diff(test.lines[i+1], s.play(t, test.lines[i])); diff != "" {
					t.Errorf("%s (-want +got)\n%s", test.lines[i], diff)
				}
			}
		})
	}
}

// TestFencedOfThree: where there are more hosts, a fence is no vote: two of them
// may know of the same one.
func TestFencedOfThree(t *testing.T) {
	t.Parallel()
	h := NewHolder(Electorate("lb1", []string{"lb2", "lb3"}, nil, 250*ms, 100*ms), 0)
	h.Step(at(0), Want{})
	h.Step(at(0), Answered{"lb1", Answer{Kind: Granted, Number: h.Number(), Epoch: 1}})
	h.Step(at(0), Fenced{"lb3", at(time.Hour)})
	if h.Stage() != Asking || !h.Until().IsZero() {
		t.Errorf("it is %s until %s", h.Stage(), h.Until())
	}
}

// TestStatus says what is lacking.
func TestStatus(t *testing.T) {
	t.Parallel()
	s := newScript(false)
	s.play(t, "0ms want")
	s.play(t, "0ms lb1 grants")
	s.play(t, "1ms rack3 refuses lb2 500ms")
	c := s.h.Clone()
	s.play(t, "2ms drop")
	want := "1 of 2 votes (lb1): lb2 does not answer, rack3 has promised it to lb2 for 499ms"
	if got := c.Status(at(2 * ms)); got.Why != want || got.Need != 2 || len(got.Votes) != 3 || got.Votes[2].Owner != "lb2" {
		t.Errorf("status %+v", got)
	}
	if got := s.h.Status(at(2 * ms)); got.Why != "" || got.Stage != Idle {
		t.Errorf("status %+v", got)
	}
}

// TestRefusalOfACopy: who grants its vote, and refuses it to a copy of the same
// question, is not waited for: Next would stay in the past.
func TestRefusalOfACopy(t *testing.T) {
	t.Parallel()
	s := newScript(false)
	for _, line := range []string{"0ms want", "0ms lb1 grants", "1ms lb1 sits 20ms", "25ms wake"} {
		s.play(t, line)
	}
	if next := s.h.Next(); s.h.Stage() != Asking || !next.After(at(25*ms)) {
		t.Errorf("stage %v, next in %v", s.h.Stage(), next.Sub(at(25*ms)))
	}
}
