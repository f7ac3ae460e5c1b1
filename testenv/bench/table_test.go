package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	t.Parallel()
	tab := newTable("Title", "Text.", "lost")
	for _, v := range []float64{3, 1, 2} {
		tab.add("lost", "", "vipd", v)
	}
	tab.add("lost", "", "keepalived", 4)
	tab.add("gap", "ms", "frr", 0.25)
	tab.failed("frr", errors.New("no answer\nmore"))
	want := `## Title

Text.

| | vipd | keepalived | frr | vipd ÷ keepalived |
|---|---|---|---|---|
| lost | 1.00 / **2.00** / 3.00 (n 3) | **4.00** (n 1) | – | 0.500 |
| gap, ms | – | – | **0.250** (n 1) | – |

Runs of frr that gave no figures: 1 (no answer).

`
	if diff := cmp.Diff(want, tab.markdown()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("| Title | lost | 2.00 | 4.00 | 0.500 |\n", tab.summary()); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestRatio(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ours, theirs []float64
		want         string
	}{
		{[]float64{0, 0}, []float64{0}, "1"},
		{[]float64{0}, []float64{2}, "0"},
		{[]float64{2}, []float64{0}, "–"},
		{[]float64{1, 2, 3, 4}, []float64{5}, "0.500"},
		{nil, []float64{1}, "–"},
	} {
		if got := ratio(c.ours, c.theirs); got != c.want {
			t.Errorf("ratio of %v and %v: %s, want %s", c.ours, c.theirs, got, c.want)
		}
	}
}

func TestEpisodes(t *testing.T) {
	t.Parallel()
	start := time.Unix(0, 0)
	var at []time.Time
	for _, ms := range []int{0, 100, 200, 600, 700, 2000} {
		at = append(at, start.Add(time.Duration(ms)*time.Millisecond))
	}
	if got := episodes(at, 100*time.Millisecond); got != 3 {
		t.Errorf("episodes: %d, want 3", got)
	}
	if got := widest(at); got != 1300*time.Millisecond {
		t.Errorf("widest: %v", got)
	}
}

func TestKibibytes(t *testing.T) {
	t.Parallel()
	const text = "Rss:               13520 kB\nPss:                4326 kB\n"
	if got := kibibytes(text, "Pss:"); got != 4326 {
		t.Errorf("Pss: %v", got)
	}
}

func TestRivals(t *testing.T) {
	t.Parallel()
	tab := newTable("Title", "Text.", "gone").against([]string{"vipd", "by hand", "bird", "exabgp"}, "bird", "exabgp")
	tab.add("gone", "ms", "vipd", 5)
	tab.add("gone", "ms", "by hand", 1)
	tab.add("gone", "ms", "bird", never)
	tab.add("gone", "ms", "exabgp", 20)
	tab.add("back", "ms", "vipd", never)
	tab.add("back", "ms", "bird", 10)
	want := `## Title

Text.

| | vipd | by hand | bird | exabgp | vipd ÷ the best |
|---|---|---|---|---|---|
| gone, ms | **5.00** (n 1) | **1.00** (n 1) | **never** (n 1) | **20.0** (n 1) | 0.250 |
| back, ms | **never** (n 1) | – | **10.0** (n 1) | – | – |

`
	if diff := cmp.Diff(want, tab.markdown()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("| Title | gone, ms | 5.00 | 20.0 (exabgp) | 0.250 |\n", tab.summary()); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

// A run that measures one part leaves the other one as it is in the file.
func TestChapters(t *testing.T) {
	t.Parallel()
	const old = "# Benchmarks\n\nFailovers.\n\n# Anycast\n\nAnnouncements.\n"
	b := &bench{}
	if diff := cmp.Diff(old, b.document(old)); diff != "" {
		t.Errorf("nothing was measured (-want +got):\n%s", diff)
	}
	b.table("Silence", "Text.").against([]string{"vipd", "bird"}, "bird")
	got := b.document(old)
	if !strings.HasPrefix(got, "# Benchmarks\n\nFailovers.\n\n# Anycast\n\n") || strings.Contains(got, "Announcements.") || !strings.Contains(got, "## Silence") {
		t.Errorf("anycast was measured:\n%s", got)
	}
	b = &bench{}
	b.table("Crash", "Text.")
	got = b.document(old)
	if !strings.HasSuffix(got, "\n\n# Anycast\n\nAnnouncements.\n") || strings.Contains(got, "Failovers.") || !strings.Contains(got, "## Crash") {
		t.Errorf("failovers were measured:\n%s", got)
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, word string
		want       bool
	}{{"anycast-many", "anycast", true}, {"anycast-many", "anycast-many", true}, {"anycast-many", "any", false}, {"cost", "cost", true}, {"cost", "anycast", false}} {
		if got := isNamed(c.name, c.word); got != c.want {
			t.Errorf("%s is named by %s: %v", c.name, c.word, got)
		}
	}
}
