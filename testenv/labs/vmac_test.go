package labs

import (
	"context"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// TestVirtualMAC: adverts leave from the virtual MAC, the first one with the
// takeover, although the device of that MAC is up only while the addresses are
// there; the releases leave from the interface itself, so that no switch learns
// once more that the MAC is here.
func TestVirtualMAC(t *testing.T) {
	const interval = 500 * time.Millisecond // a lost one is missed
	p := newPair(t)
	tap, err := p.client.Observe("eth0")
	if err != nil {
		t.Fatal(err)
	}
	lb1 := p.vipd(p.hosts[0], web(150, interval, "vmac = true"))
	sent := func(priority uint8, since time.Time) testenv.Frame {
		t.Helper()
		var f testenv.Frame
		lb1.wait(10*time.Second, "an advert", func(ctx context.Context) error {
			var err error
			f, err = tap.WaitFor(ctx, func(f testenv.Frame) bool {
				return f.VRRP != nil && f.VRRP.Priority == priority && f.Time.After(since)
			})
			return err
		})
		want := "00:00:5e:00:01:33"
		if priority == 0 {
			want = p.hosts[0].MAC("eth0").String()
		}
		if mac := f.Source.String(); mac != want {
			t.Errorf("advert of priority %d from %s, not %s", priority, mac, want)
		}
		return f
	}
	for range 2 { // the device is made for the first takeover, and set up for the second
		mark := time.Now()
		lb1.waitState("web", "ACTIVE")
		f := sent(150, mark)
		since := lb1.vip("web").Since
		t.Logf("first advert %v after the takeover", f.Time.Sub(since))
		if late := f.Time.Sub(since); late > 200*time.Millisecond {
			t.Errorf("first advert %v after the takeover", late)
		}
		mark = time.Now()
		lb1.must("drain", "--wait")
		for range 3 {
			mark = sent(0, mark).Time
		}
		lb1.must("undrain")
	}
}
