package labs

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// TestLostAdverts: elections may follow the protocol when adverts get lost, but
// clients hardly notice. With VIPD_LAB_LONG set it runs for a minute at 10, 20
// and 30 %, else for 15 seconds at 30 %.
func TestLostAdverts(t *testing.T) {
	percents, length := []float64{30}, 15*time.Second
	if os.Getenv("VIPD_LAB_LONG") != "" {
		percents, length = []float64{10, 20, 30}, time.Minute
	}
	for _, percent := range percents {
		t.Run(fmt.Sprintf("%v%%", percent), func(t *testing.T) {
			p, lb1, lb2, probes := started(t, 100*time.Millisecond, "")
			if err := p.lab.Loss(nil, nil, percent, testenv.MatchVRRP); err != nil {
				t.Fatal(err)
			}
			mark := time.Now()
			lb1.eventually(length+10*time.Second, "the time of loss to be over", func() bool { return time.Since(mark) >= length })
			end := time.Now()
			if err := p.lab.Heal(); err != nil {
				t.Fatal(err)
			}
			lb1.waitState("web", "ACTIVE")
			lb2.waitState("web", "BACKUP")
			r := probes.Stop().Between(mark, end)
			t.Logf("%v; %d turns; lb1 %v, lb2 %v", r, len(r.Turns()), lb1.vip("web").Transitions, lb2.vip("web").Transitions)
			if r.Lost*100 > r.Sent || r.LongestGap > 400*time.Millisecond {
				t.Errorf("%v", r)
			}
		})
	}
}
