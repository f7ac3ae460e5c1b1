package check_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/check"
)

var epoch = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// pace has its ticks at whole intervals after the epoch.
var pace = check.Pace{Epoch: epoch}

const ms = time.Millisecond

func at(d time.Duration) time.Time { return epoch.Add(d) }

// feed lets results arrive, "+" good and "-" bad, each 10ms after its probe
// started, and writes down the health after each: U up, D down, small letters
// while it is only assumed, and ! where Observe reported a change.
func feed(t *testing.T, s *check.State, results string) string {
	t.Helper()
	var out strings.Builder
	for _, r := range results {
		now := s.Due()
		s.Started(now)
		changed := s.Observe(now.Add(10*ms), r == '+')
		letter := map[bool]string{true: "u", false: "d"}[s.Healthy()]
		if s.Known() {
			letter = strings.ToUpper(letter)
		}
		out.WriteString(letter)
		if changed {
			out.WriteString("!")
		}
	}
	return out.String()
}

func TestRiseAndFall(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		rise, fall int
		initOK     bool
		results    string
		want       string
	}{
		{"rise 1 fall 1 follows every result", 1, 1, false, "+-+--", "U!D!U!D!D"},
		{"rise 3 needs three in a row", 3, 1, false, "+++", "ddU!"},
		{"a bad result starts the count again", 3, 2, false, "++-+++", "dddddU!"},
		{"fall 2 forgives one", 1, 2, false, "+-+-+--", "U!UUUUUD!"},
		{"up stays up on further good results", 2, 2, false, "++++", "dU!UU"},
		{"down stays down on further bad results", 2, 2, false, "----", "dD!DD"},
		{"assumed up until fall bad results", 2, 3, true, "---", "uuD!"},
		{"assumed up becomes known", 2, 3, true, "++", "uU!"},
		{"assumed up, one bad in between", 2, 2, true, "-+-+-+", "uuuuuu"},
		{"back up takes rise again", 2, 2, true, "--+-++", "uD!DDDU!"},
		{"zero counts as one", 0, 0, false, "+-", "U!D!"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := check.New(check.Config{Interval: time.Second, Rise: tt.rise, Fall: tt.fall, InitOK: tt.initOK}, pace, epoch)
			if s.Healthy() != tt.initOK || s.Known() {
				t.Errorf("before the first result: healthy %v known %v, want %v and unknown", s.Healthy(), s.Known(), tt.initOK)
			}
			if got := feed(t, s, tt.results); got != tt.want {
				t.Errorf("results %s: got %s, want %s", tt.results, got, tt.want)
			}
		})
	}
}

// TestSchedule replays starts and results, and says when the next probe is due.
func TestSchedule(t *testing.T) {
	t.Parallel()
	type probe struct {
		start, end time.Duration
		ok         bool
		due        time.Duration
	}
	settled := check.Config{Interval: time.Second, Rise: 1, Fall: 1}
	fast := check.Config{Interval: time.Second, FastInterval: 100 * ms, Rise: 2, Fall: 3}
	for _, tt := range []struct {
		name   string
		cfg    check.Config
		made   time.Duration // when New is called
		probes []probe
	}{
		{"from start to start, however long the probe took", settled, 0, []probe{
			{0, 10 * ms, true, 1000 * ms}, {1000 * ms, 1900 * ms, true, 2000 * ms},
		}},
		{"a late start does not shift the ticks", settled, 0, []probe{
			{0, 10 * ms, true, 1000 * ms}, {1300 * ms, 1310 * ms, true, 2000 * ms},
		}},
		{"an overrun starts the next one at once", settled, 0, []probe{
			{0, 1700 * ms, true, 1700 * ms}, {1700 * ms, 1710 * ms, true, 2000 * ms},
		}},
		{"a result exactly at the tick", settled, 0, []probe{{0, 1000 * ms, true, 1000 * ms}}},
		{"overrun by several intervals is one probe, not several", settled, 0, []probe{
			{0, 5500 * ms, false, 5500 * ms}, {5500 * ms, 5510 * ms, false, 6000 * ms},
		}},
		{"made between ticks, joins the grid", settled, 2345 * ms, []probe{
			{2345 * ms, 2350 * ms, true, 3000 * ms}, {3000 * ms, 3010 * ms, true, 4000 * ms},
		}},
		{"made before the epoch", settled, -300 * ms, []probe{{-300 * ms, -290 * ms, true, 0}}},
		{"fast while nothing is known, slow when up", fast, 0, []probe{
			{0, 10 * ms, true, 100 * ms}, {100 * ms, 110 * ms, true, 1000 * ms},
		}},
		{"fast while falling, slow when down", fast, 0, []probe{
			{0, 10 * ms, true, 100 * ms}, {100 * ms, 110 * ms, true, 1000 * ms},
			{1000 * ms, 1010 * ms, false, 1100 * ms}, {1100 * ms, 1110 * ms, false, 1200 * ms},
			{1200 * ms, 1210 * ms, false, 2000 * ms},
			{2000 * ms, 2010 * ms, true, 2100 * ms}, {2100 * ms, 2110 * ms, true, 3000 * ms},
		}},
		{"fast is over as soon as the results agree again", fast, 0, []probe{
			{0, 10 * ms, true, 100 * ms}, {100 * ms, 110 * ms, true, 1000 * ms},
			{1000 * ms, 1010 * ms, false, 1100 * ms}, {1100 * ms, 1110 * ms, true, 2000 * ms},
		}},
		{"a probe slower than the fast interval", fast, 0, []probe{{0, 250 * ms, true, 250 * ms}}},
		{"fast is never slower", check.Config{Interval: 200 * ms, FastInterval: time.Second, Rise: 2, Fall: 2}, 0, []probe{
			{0, 10 * ms, true, 200 * ms},
		}},
		{"no interval is the shortest", check.Config{Rise: 1, Fall: 1}, 0, []probe{{0, 1 * ms, true, 10 * ms}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := check.New(tt.cfg, pace, at(tt.made))
			if got := s.Due(); !got.Equal(at(tt.made)) {
				t.Fatalf("first probe due %v after the epoch, want at once", got.Sub(epoch))
			}
			for i, p := range tt.probes {
				s.Started(at(p.start))
				if !s.Due().IsZero() || !s.Running() {
					t.Fatalf("probe %d: due %v while running, want the zero time", i, s.Due())
				}
				s.Observe(at(p.end), p.ok)
				if got := s.Due().Sub(epoch); got != p.due {
					t.Errorf("probe %d: next due %v after the epoch, want %v", i, got, p.due)
				}
			}
		})
	}
}

func TestTicksAreShared(t *testing.T) {
	t.Parallel()
	cfg := check.Config{Interval: 500 * ms, Rise: 1, Fall: 1}
	due := make(map[time.Time]bool)
	for _, made := range []time.Duration{0, 17 * ms, 230 * ms, 499 * ms} {
		s := check.New(cfg, pace, at(made))
		s.Started(at(made))
		s.Observe(at(made+time.Millisecond/2), true)
		due[s.Due()] = true
	}
	if len(due) != 1 {
		t.Errorf("checks made at different times are due at %v, want one time", due)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	s := check.New(check.Config{Interval: time.Second, Rise: 2, Fall: 2}, pace, epoch)
	if diff := cmp.Diff(check.Stats{Since: epoch}, s.Stats()); diff != "" {
		t.Errorf("new state (-want +got):\n%s", diff)
	}
	if got := s.String(); got != "unknown" {
		t.Errorf("new state is %q, want unknown", got)
	}
	feed(t, s, "++-++")
	want := check.Stats{Runs: 5, Failures: 1, Consecutive: 2, LastOK: true, LastRun: at(4 * time.Second), Since: at(1010 * ms), Ups: 1}
	if diff := cmp.Diff(want, s.Stats()); diff != "" {
		t.Errorf("after ++-++ (-want +got):\n%s", diff)
	}
	if got := s.String(); got != "up" {
		t.Errorf("after ++-++ the state is %q, want up", got)
	}
	feed(t, s, "--")
	if got := s.String(); got != "down" {
		t.Errorf("after -- the state is %q, want down", got)
	}
}

func TestStrayResultsCountForNothing(t *testing.T) {
	t.Parallel()
	s := check.New(check.Config{Interval: time.Second, Rise: 1, Fall: 1}, pace, epoch)
	if s.Observe(epoch, true) || s.Healthy() || s.Stats().Runs != 0 {
		t.Errorf("a result before any probe: healthy %v, %d runs", s.Healthy(), s.Stats().Runs)
	}
	s.Started(epoch)
	s.Started(at(400 * ms)) // there is one already
	s.Observe(at(500*ms), true)
	if s.Observe(at(600*ms), false) || !s.Healthy() || s.Stats().Runs != 1 {
		t.Errorf("a second result of one probe: healthy %v, %d runs", s.Healthy(), s.Stats().Runs)
	}
	if got := s.Stats().LastRun; !got.Equal(epoch) {
		t.Errorf("last run started %v, want the first start", got)
	}
}

func TestReconfigure(t *testing.T) {
	t.Parallel()
	exec := func(argv ...string) check.Config {
		return check.Config{Spec: check.Exec{Command: argv}, Interval: time.Second, Rise: 1, Fall: 2}
	}
	t.Run("another pace keeps everything", func(t *testing.T) {
		t.Parallel()
		s := check.New(exec("/bin/true"), pace, epoch)
		feed(t, s, "+")
		cfg := exec("/bin/true")
		cfg.Interval = 300 * ms
		s.Reconfigure(cfg, at(400*ms))
		if !s.Healthy() || !s.Known() || s.Stats().Runs != 1 {
			t.Errorf("healthy %v known %v runs %d, want all kept", s.Healthy(), s.Known(), s.Stats().Runs)
		}
		if got := s.Due().Sub(epoch); got != 400*ms {
			t.Errorf("due %v, want at once: the tick at 300ms has passed", got)
		}
		feed(t, s, "+")
		if got := s.Due().Sub(epoch); got != 600*ms {
			t.Errorf("due %v, want 600ms", got)
		}
	})
	t.Run("another probe keeps the health until it has its own results", func(t *testing.T) {
		t.Parallel()
		s := check.New(exec("/bin/true"), pace, epoch)
		feed(t, s, "+++")
		s.Reconfigure(exec("/bin/false"), at(2500*ms))
		if !s.Healthy() || s.Known() || !s.Due().Equal(at(2500*ms)) {
			t.Errorf("healthy %v known %v due %v, want up, unknown, at once", s.Healthy(), s.Known(), s.Due().Sub(epoch))
		}
		if got, want := feed(t, s, "--"), "uD!"; got != want {
			t.Errorf("results -- of the new probe: %s, want %s", got, want)
		}
	})
	t.Run("the result of the old probe counts for nothing", func(t *testing.T) {
		t.Parallel()
		s := check.New(exec("/bin/true"), pace, epoch)
		s.Started(epoch)
		s.Reconfigure(exec("/bin/false"), at(100*ms))
		if !s.Due().IsZero() {
			t.Errorf("due %v while the old probe runs, want the zero time", s.Due().Sub(epoch))
		}
		if s.Observe(at(200*ms), true) || s.Healthy() || s.Stats().Runs != 0 {
			t.Errorf("healthy %v, %d runs: the old result was counted", s.Healthy(), s.Stats().Runs)
		}
		if got := s.Due(); !got.Equal(at(200 * ms)) {
			t.Errorf("due %v, want at once after the old result", got.Sub(epoch))
		}
	})
	t.Run("a probe that is due at once stays so", func(t *testing.T) {
		t.Parallel()
		s := check.New(exec("/bin/true"), pace, epoch)
		s.Reconfigure(exec("/bin/true"), at(10*ms))
		if got := s.Due(); !got.Equal(epoch) {
			t.Errorf("due %v, want as before", got.Sub(epoch))
		}
	})
}

// watched is a Spec that is watched.
type watched struct{ name string }

func (watched) Type() string { return "watched" }
func (watched) Watched()     {}

func TestWatched(t *testing.T) {
	t.Parallel()
	s := check.New(check.Config{Spec: watched{"a"}, Interval: time.Second, Rise: 3, Fall: 3}, pace, epoch)
	for i, tt := range []struct {
		ok, changed bool
		word        string
	}{
		{true, true, "up"}, {true, false, "up"}, {false, true, "down"}, {true, true, "up"},
	} {
		now := at(time.Duration(i) * time.Second)
		if !s.Due().IsZero() {
			t.Errorf("sight %d: a probe is due %v", i, s.Due())
		}
		if changed := s.See(now, tt.ok); changed != tt.changed || s.String() != tt.word {
			t.Errorf("sight %d: changed %v, %s, want %v, %s", i, changed, s, tt.changed, tt.word)
		}
	}
	s.Reconfigure(check.Config{Spec: watched{"b"}}, at(9*time.Second))
	if !s.Healthy() || s.Known() || !s.Due().IsZero() {
		t.Errorf("another spec: healthy %v, known %v, due %v, want the health kept, unknown, and nothing due", s.Healthy(), s.Known(), s.Due())
	}
}
