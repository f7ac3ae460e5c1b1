package speaker

import (
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
)

// TestSendHold: a session ends when its neighbor takes nothing for eight minutes,
// or twice the hold time, and not as long as it takes anything (RFC 9687, 4).
func TestSendHold(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name  string
		hold  time.Duration
		state bgp.SessionState
		reads bool
		after time.Duration // 0 = never
	}{
		{"9s", 9 * time.Second, bgp.Established, false, 8*time.Minute + sendLook},
		{"ten minutes", 10 * time.Minute, bgp.Established, false, 20*time.Minute + sendLook},
		{"reads", 9 * time.Second, bgp.Established, true, 0},
		{"no session", 9 * time.Second, bgp.Connect, false, 0},
		{"no keepalives", 0, bgp.Established, false, 0},
	} {
		n := &neighbor{Neighbor: bgp.Neighbor{HoldTime: c.hold}}
		n.session.State = c.state
		sent, ended := uint64(1), time.Duration(0)
		for d := time.Duration(0); d < time.Hour && ended == 0; d += sendLook {
			if c.reads && d%(7*time.Minute) == 0 {
				sent++
			}
			if n.takesNothing(at.Add(d), sent) {
				ended = d
			}
		}
		if ended != c.after {
			t.Errorf("%s: ended after %v, want %v", c.name, ended, c.after)
		}
	}
}
