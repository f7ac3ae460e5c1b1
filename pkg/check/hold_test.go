package check_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/check"
)

// flap is a watched check that goes down and comes back at the times given, and
// says how long it waits each time it is back.
func TestHoldDownDoublesAndDecays(t *testing.T) {
	t.Parallel()
	const s = time.Second
	type flap struct{ down, back, wait time.Duration }
	mild := check.HoldDown{Time: 10 * s, Most: 50 * s, Flaps: 3, Within: 60 * s}
	for _, tt := range []struct {
		name  string
		hold  check.HoldDown
		flaps []flap
	}{
		{"off: it is up at once, however often", check.HoldDown{Flaps: 1, Within: 60 * s}, []flap{{0, s, 0}, {2 * s, 3 * s, 0}, {4 * s, 5 * s, 0}}},
		{"the third time within a minute waits", mild, []flap{{0, s, 0}, {20 * s, 21 * s, 0}, {60 * s, 61 * s, 10 * s}}},
		{"three times in more than a minute do not", mild, []flap{{0, s, 0}, {20 * s, 21 * s, 0}, {61 * s, 62 * s, 0}}},
		{"each further time doubles, up to the most", mild, []flap{
			{0, s, 0}, {2 * s, 3 * s, 0}, {4 * s, 5 * s, 10 * s}, {20 * s, 21 * s, 20 * s}, {50 * s, 51 * s, 40 * s}, {100 * s, 101 * s, 50 * s}, {160 * s, 161 * s, 50 * s},
		}},
		{"a minute up takes one doubling back", mild, []flap{
			{0, s, 0}, {2 * s, 3 * s, 0}, {4 * s, 5 * s, 10 * s}, {20 * s, 21 * s, 20 * s}, // up since 41s
			{101 * s, 102 * s, 20 * s}, // one back, one more
		}},
		{"in the end it is forgotten", mild, []flap{
			{0, s, 0}, {2 * s, 3 * s, 0}, {4 * s, 5 * s, 10 * s}, // up since 15s
			{80 * s, 81 * s, 0}, {82 * s, 83 * s, 0}, {84 * s, 85 * s, 10 * s},
		}},
		{"a most below the time counts as the time", check.HoldDown{Time: 10 * s, Flaps: 1, Within: s}, []flap{{0, s, 10 * s}, {20 * s, 21 * s, 10 * s}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := check.New(check.Config{Spec: watched{"a"}, HoldDown: tt.hold}, pace, at(-s))
			st.See(at(-s), true)
			for i, f := range tt.flaps {
				if !st.See(at(f.down), false) || st.Healthy() {
					t.Fatalf("flap %d: going down is delayed", i)
				}
				if up := st.See(at(f.back), true); up != (f.wait == 0) {
					t.Fatalf("flap %d: up at once %v, want a wait of %v", i, up, f.wait)
				}
				if f.wait == 0 {
					continue
				}
				until := at(f.back + f.wait)
				if got := st.HeldDownUntil(); !got.Equal(until) {
					t.Fatalf("flap %d: held down until %v, want %v", i, got.Sub(epoch), until.Sub(epoch))
				}
				if st.Wake(until.Add(-1)) || !st.Wake(until) || !st.Healthy() {
					t.Fatalf("flap %d: not up when the wait is over, and only then", i)
				}
			}
		})
	}
}

func TestHoldDownNeedsGoodResults(t *testing.T) {
	t.Parallel()
	cfg := check.Config{
		Spec: check.TCP{Address: "a:80"}, Interval: time.Second, FastInterval: 100 * ms, Rise: 2, Fall: 1, InitOK: true,
		HoldDown: check.HoldDown{Time: 5 * time.Second, Most: time.Minute, Flaps: 1, Within: time.Minute},
	}
	s := check.New(cfg, pace, epoch)
	if got, want := feed(t, s, "--+"), "D!DD"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if !s.HeldDownUntil().IsZero() {
		t.Error("the wait runs before rise is reached")
	}
	feed(t, s, "+")
	first := s.HeldDownUntil()
	if first.IsZero() || s.Moving() {
		t.Errorf("held down until %v, moving %v: want a time, and no fast interval", first, s.Moving())
	}
	feed(t, s, "-++")
	if later := s.HeldDownUntil(); !later.After(first) {
		t.Errorf("a bad result did not start the wait anew: %v, then %v", first.Sub(epoch), later.Sub(epoch))
	}
	if got, want := feed(t, s, "++++++++"), "DDDDU!UUU"; got != want {
		t.Errorf("good results every second for 5s: got %s, want %s", got, want)
	}
	feed(t, s, "-++")
	cfg.HoldDown = check.HoldDown{}
	s.Reconfigure(cfg, s.Due())
	if until := s.HeldDownUntil(); until.After(s.Due()) || !s.Wake(s.Due()) {
		t.Errorf("a reload without hold-down waits until %v", until)
	}
}

func TestMasks(t *testing.T) {
	t.Parallel()
	polled := check.Config{Spec: check.TCP{Address: "a:80"}, Interval: time.Second, Rise: 2, Fall: 2}
	t.Run("nothing counts under a mask, nothing adds up over one", func(t *testing.T) {
		t.Parallel()
		s := check.New(polled, pace, epoch)
		feed(t, s, "++-") // up, one bad
		s.Started(s.Due())
		s.SetMask(at(3*time.Second), check.MaskedAfter)
		if s.Observe(at(3100*ms), false) || s.Stats().Failures != 1 || !s.Due().IsZero() {
			t.Errorf("%d failures, due %v: the result of a masked check counted", s.Stats().Failures, s.Due())
		}
		s.SetMask(at(9*time.Second), check.Unmasked)
		if got := s.Due(); !got.Equal(at(9 * time.Second)) {
			t.Errorf("due %v after the mask, want at once", got.Sub(epoch))
		}
		if got, want := feed(t, s, "--"), "UD!"; got != want {
			t.Errorf("after the mask: %s, want %s", got, want)
		}
	})
	t.Run("a probe that saw a mask counts for nothing", func(t *testing.T) {
		t.Parallel()
		s := check.New(polled, pace, epoch)
		s.Started(epoch)
		s.SetMask(at(100*ms), check.MaskedAfter)
		s.SetMask(at(200*ms), check.Unmasked)
		if s.Observe(at(300*ms), true); s.Stats().Runs != 0 || !s.Due().Equal(at(300*ms)) {
			t.Errorf("%d runs, due %v, want none, at once", s.Stats().Runs, s.Due().Sub(epoch))
		}
	})
	t.Run("who is down while it cannot be probed gets another try", func(t *testing.T) {
		t.Parallel()
		cfg := polled
		cfg.WhileHeld = "web"
		s := check.New(cfg, pace, epoch)
		if !s.Healthy() {
			t.Error("a check that needs the VIP keeps it away from the start")
		}
		if got, want := feed(t, s, "--++"), "uD!DU!"; got != want {
			t.Errorf("while the VIP is held: %s, want %s: no hold-down was asked for", got, want)
		}
		s = check.New(cfg, pace, epoch)
		feed(t, s, "--")
		var waits []time.Duration
		for range 7 {
			down := s.Stats().Since
			s.SetMask(down, check.MaskedIdle)
			until := s.HeldDownUntil()
			waits = append(waits, until.Sub(down))
			if s.Wake(until.Add(-1)) || !s.Wake(until) || !s.Healthy() || s.Known() {
				t.Fatalf("after %v: healthy %v known %v, want assumed up", until.Sub(down), s.Healthy(), s.Known())
			}
			s.SetMask(until, check.Unmasked)
			feed(t, s, "--")
		}
		s10 := 10 * time.Second
		if diff := cmp.Diff([]time.Duration{s10, 2 * s10, 4 * s10, 8 * s10, 16 * s10, 30 * s10, 30 * s10}, waits); diff != "" {
			t.Errorf("waits (-want +got)\n%s", diff)
		}
	})
	t.Run("a watched check is told again", func(t *testing.T) {
		t.Parallel()
		s := check.New(check.Config{Spec: watched{"a"}}, pace, epoch)
		s.See(epoch, true)
		s.SetMask(at(1*ms), check.MaskedAfter)
		if s.See(at(2*ms), false) || !s.Healthy() {
			t.Error("a sight under a mask counted")
		}
		s.SetMask(at(3*ms), check.Unmasked)
		if !s.See(at(3*ms), false) || s.Healthy() {
			t.Error("a sight after the mask did not count")
		}
	})
}

func TestGroup(t *testing.T) {
	t.Parallel()
	// U and D are known to be up and down, u and d only assumed.
	member := func(name string) (up, known bool) {
		return name == "U" || name == "u", name == "U" || name == "D"
	}
	for _, tt := range []struct {
		members, want string // health of 1 of, 2 of … the members
	}{
		{"U", "U"}, {"D", "D"}, {"u", "u"}, {"d", "d"},
		{"UUD", "UUD"}, {"UDD", "UDD"}, {"UuD", "UuD"}, {"UdD", "UdD"}, {"udd", "udd"}, {"Uud", "Uud"}, {"DDd", "dDD"},
	} {
		var members []string
		for _, m := range tt.members {
			members = append(members, string(m))
		}
		got := ""
		for need := range len(members) {
			up, known := check.Group{Members: members, Need: need + 1}.Judge(member)
			got += map[[2]bool]string{{true, true}: "U", {true, false}: "u", {false, true}: "D", {false, false}: "d"}[[2]bool{up, known}]
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.members, got, tt.want)
		}
	}
	for want, g := range map[string]check.Group{
		"all of a, b":  {Members: []string{"a", "b"}, Need: 2},
		"any of a, b":  {Members: []string{"a", "b"}, Need: 1},
		"2 of a, b, c": {Members: []string{"a", "b", "c"}, Need: 2},
		"all of a":     {Members: []string{"a"}, Need: 1},
	} {
		if got := g.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
