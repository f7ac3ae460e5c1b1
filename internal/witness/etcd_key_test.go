package witness

import (
	"testing"
	"time"
)

// TestSighting: when the vote of a host whose key is gone may be taken.
func TestSighting(t *testing.T) {
	t.Parallel()
	epoch := time.Unix(1_000_000, 0)
	at := func(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }
	type seen struct {
		claim int64
		at    float64
		left  int64 // -1: the key is gone
	}
	for name, test := range map[string]struct {
		seen []seen
		want float64 // when it may be taken, by the last of them
	}{
		"never seen before":                   {[]seen{{7, 1, -1}}, 6},
		"gone for a while":                    {[]seen{{7, 1, -1}, {7, 2, -1}}, 6},
		"gone early":                          {[]seen{{7, 1, 4}, {7, 2, -1}}, 7},
		"ran out":                             {[]seen{{7, 1, 4}, {7, 4, 1}, {7, 4.5, 0}, {7, 5.6, -1}}, 5.5},
		"ran out, and is still there":         {[]seen{{7, 4, 1}, {7, 5, 0}, {7, 6.1, 0}, {7, 6.3, -1}}, 6},
		"runs out":                            {[]seen{{7, 4, 1}, {7, 5, -1}}, 6},
		"ran out, says the better of two":     {[]seen{{7, 4, 1}, {7, 4.9, 1}, {7, 6.1, -1}}, 6},
		"half of it was left":                 {[]seen{{7, 1, 2}, {7, 4, -1}}, 9},
		"prolonged late: the claim is newer":  {[]seen{{7, 4, 1}, {8, 6, -1}}, 11},
		"prolonged, and gone early":           {[]seen{{7, 4, 1}, {7, 5, 4}, {7, 6.5, -1}}, 11.5},
		"prolonged unseen, and nearly over":   {[]seen{{7, 4, 1}, {7, 9, 1}, {7, 10, -1}}, 11},
		"put back, and gone again":            {[]seen{{7, 1, -1}, {8, 3, 4}, {8, 4, -1}}, 9},
		"put back unseen, and gone again":     {[]seen{{7, 1, -1}, {8, 4, -1}}, 9},
		"prolonged after it was gone: seldom": {[]seen{{7, 1, -1}, {7, 3, 4}, {7, 4, -1}}, 9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s sighting
			var got time.Time
			for _, seen := range test.seen {
				if now := at(seen.at); seen.left < 0 {
					got = now.Add(s.wait(seen.claim, now, etcdTTL))
				} else {
					s.saw(seen.claim, now, now, seen.left, int64(etcdTTL/time.Second))
				}
			}
			last := at(test.seen[len(test.seen)-1].at)
			want := at(test.want)
			if want.Before(last) {
				want = last
			}
			if got.Before(want) || got.After(want.Add(10*time.Millisecond)) {
				t.Errorf("at %s, want %s", got.Sub(epoch), want.Sub(epoch))
			}
		})
	}
}
