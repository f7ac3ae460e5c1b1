package main

import (
	"errors"
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
