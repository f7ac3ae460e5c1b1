package control

import (
	"fmt"
	"time"
)

// Age writes how long something took or is ago, in two units at most: "140ms",
// "42s", "3m", "2h 9m", "12d 4h". A negative one counts as none.
func Age(d time.Duration) string {
	const day = 24 * time.Hour
	d = max(d, 0)
	switch {
	case d < time.Millisecond && d > 0:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < day:
		return twoUnits(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "m")
	default:
		return twoUnits(int(d/day), "d", int(d%day/time.Hour), "h")
	}
}

// twoUnits writes "12d 4h", or "12d" when the second is 0.
func twoUnits(a int, unitA string, b int, unitB string) string {
	if b == 0 {
		return fmt.Sprintf("%d%s", a, unitA)
	}
	return fmt.Sprintf("%d%s %d%s", a, unitA, b, unitB)
}

// clock writes a time of day, with the date when it is more than a day away
// from now, in the time zone of now.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	if away := now.Sub(t).Abs(); away > 24*time.Hour {
		return t.Format("2006-01-02 15:04")
	}
	return t.Format("15:04:05")
}

// since writes "since 14:02:11 (3m ago)".
func since(t, now time.Time) string {
	return fmt.Sprintf("since %s (%s ago)", clock(t, now), Age(now.Sub(t)))
}

// count writes "1 problem", "2 problems".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
