package control

import (
	"fmt"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// lately is how long ago a refusal may be that is told as one that goes on.
const lately = time.Minute

// AuthNews says that adverts of a VIP are being refused for their authentication,
// "" when none was lately.
func AuthNews(v engine.VIPStatus, now time.Time) string {
	if v.Auth == nil || v.Auth.Last == nil || now.Sub(v.Auth.Last.Time) > lately {
		return ""
	}
	last := v.Auth.Last
	return fmt.Sprintf("adverts from %s refused: %s; %s in all, the last %s ago", last.Source, last.Detail,
		count(int(v.Auth.Refused), "advert"), Age(now.Sub(last.Time)))
}

// whyAuth tells of adverts that would have mattered.
func whyAuth(e *Explanation, s engine.Status, v engine.VIPStatus) {
	if text := AuthNews(v, s.Now); text != "" {
		e.because("Not believed: %s.", text)
	}
}
