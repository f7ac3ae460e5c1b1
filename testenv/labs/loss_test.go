package labs

import (
	"fmt"
	"os"
	"strings"
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
			if r.Lost*100 > r.Sent {
				t.Errorf("%v", r)
			}
			p.shortGaps(400*time.Millisecond, r)
		})
	}
}

// TestContestUnheard: after a split the Backup that took over gives way before
// the Active has ever heard it. The clients have to come back all the same.
func TestContestUnheard(t *testing.T) {
	p := newPair(t)
	lb1 := p.vipd(p.hosts[0], web(150, 100*time.Millisecond, ""))
	lb1.waitState("web", "ACTIVE")
	// It learns the interval of lb1, and hardly ever advertises itself.
	lb2 := p.vipd(p.hosts[1], web(100, 40*time.Second, ""))
	lb2.waitState("web", "BACKUP")
	lb2.eventually(5*time.Second, "lb2 to hear lb1", func() bool { return strings.Contains(lb2.vip("web").Why, "advertises 150") })
	probes := p.probe()
	if err := p.lab.Loss(nil, nil, 100, testenv.MatchVRRP); err != nil {
		t.Fatal(err)
	}
	lb2.waitState("web", "ACTIVE")
	p.answeredBy(probes, "lb2")
	if err := p.lab.Heal(); err != nil {
		t.Fatal(err)
	}
	mark := time.Now()
	p.answeredBy(probes, "lb1")
	p.within(400*time.Millisecond, "lb1 answers", mark, time.Since(mark))
	lb2.waitState("web", "BACKUP")
	p.oneHolder(lb1, lb2)
}
