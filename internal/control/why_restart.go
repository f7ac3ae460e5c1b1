package control

import (
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// whyRestart tells how the last restart went, and what the next one would do, where
// VIPs are to be kept.
func whyRestart(e *Explanation, s engine.Status, v engine.VIPStatus) {
	switch {
	case v.Resuming != "":
		e.because("It goes on from the run before, and says nothing until it has %s. Its lease ends in %s unless it is refreshed by then.",
			bare(v.Resuming), Age(max(0, v.Lease.Until.Sub(s.Now))))
	case v.FellBack != "":
		e.because("The run before left it to this one, which gave it up: %s.", bare(v.FellBack))
	case v.ResumedAfter > 0 && s.Now.Sub(s.Started) < time.Hour: // later nobody asks any more
		e.because("It went on in place from the run before, %s after the last advert of that.", v.ResumedAfter.Round(100*time.Microsecond))
	}
	if v.Unkept != "" && v.Resuming == "" {
		e.because("A restart would give it up: %s.", bare(v.Unkept))
	}
}
