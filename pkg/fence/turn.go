package fence

import (
	"fmt"
	"time"
)

// actTime is what a device may take from saying that it cut a peer off until
// that is so.
const actTime = 2 * time.Second

// allowed says whether a shot may begin now, and how long it may take. If not, it
// says why, and when to look again without news: zero is not at all.
func (f *Fencer) allowed(now time.Time) (timeout time.Duration, why string, again time.Time, turning bool) {
	if !f.heardSince() {
		if f.cfg.BootWait == 0 {
			return 0, "this host has not heard it since it started, and would shoot blindly", time.Time{}, false
		}
		if end := f.sit.Upset.Add(f.cfg.BootWait); now.Before(end) {
			return 0, "this host has not heard it since it started, and waits until " + end.Format(time.TimeOnly), end, false
		}
	}
	if f.sit.Isolated != "" {
		return 0, "this host may be the isolated one: " + f.sit.Isolated, time.Time{}, false
	}
	if end := f.freed.Add(f.cfg.Silence); !f.freed.IsZero() && now.Before(end) {
		return 0, "this host may have been the isolated one, and listens until " + end.Format(time.TimeOnly), end, false
	}
	if shots := f.recent(now); !f.round.shot && len(shots) >= f.cfg.Rate.Max {
		end := shots[len(shots)-f.cfg.Rate.Max].Add(f.cfg.Rate.Per)
		return 0, fmt.Sprintf("it was fenced %d times within %s; the next time is at %s",
			len(shots), short(f.cfg.Rate.Per), end.Format(time.TimeOnly)), end, false
	}
	begin, end := f.turn(now)
	if now.Before(begin) {
		return 0, "it may be about to fence this host; the turn is at " + begin.Format(time.TimeOnly), begin, true
	}
	return end.Sub(now), "", time.Time{}, false
}

// recent is the shots that the brake counts.
func (f *Fencer) recent(now time.Time) []time.Time {
	var list []time.Time
	for _, t := range f.shots {
		if now.Sub(t) < f.cfg.Rate.Per {
			list = append(list, t)
		}
	}
	return list
}

// together is for how long the clocks of two hosts agree well enough for turns.
const together = 10 * time.Minute

// turn returns the time within which a shot must begin and end: that of now, or
// the next one of ours. They are counted from when the first of the two lost the
// other one.
//
//	silent                    one turn                     the next one
//	──┼───────────────────────────────────────────────┬──────────────────────
//	  │ a shot begins │ and ends       │ Silence      │ a shot of the other
//	  │◀─ half ──────▶│                │ and actTime  │ host
//	  │◀───── AttemptTimeout ─────────▶│              │
func (f *Fencer) turn(now time.Time) (begin, end time.Time) {
	knows := f.heardSince()
	if knows && f.sit.PeerContent {
		return now, now.Add(f.cfg.AttemptTimeout)
	}
	origin := f.sit.Upset.Add(f.cfg.BootWait)
	first := f.sit.Preferred
	skip := 0
	if knows {
		origin = f.silentSince()
		if t := f.sit.Together; t.Before(f.heard) && f.heard.Sub(t) < together {
			origin = t.Add(f.cfg.Silence)
		}
		if f.sit.Holds != f.sit.PeerHolds {
			first = f.sit.Holds
		}
		if f.heard.Sub(f.sit.Upset) < f.cfg.Settle {
			skip = 2
		}
	}
	length := f.cfg.AttemptTimeout + f.cfg.Silence + actTime
	n := max(skip, int(max(0, now.Sub(origin))/length))
	for {
		begin = origin.Add(time.Duration(n) * length)
		if (n%2 == 0) == first && !now.After(begin.Add(f.cfg.AttemptTimeout/2)) {
			return begin, begin.Add(f.cfg.AttemptTimeout)
		}
		n++
	}
}
