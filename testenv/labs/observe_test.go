package labs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/testenv/peers"
)

// TestObserve: vipd beside keepalived on both hosts says the same, sends nothing
// and changes nothing; with another priority it says what differs; when keepalived
// of the holder is killed and started again, it follows. Nothing is left of it.
func TestObserve(t *testing.T) {
	t.Parallel()
	peers.RequireKeepalived(t)
	o := newObserved(t)
	o.observe()
	o.agree(0, 0)
	o.agree(1, 0)
	o.silent()
	if code, out, _ := o.agents[0].run("is-active", "web"); code != 1 || strings.TrimSpace(out) != "(ACTIVE)" {
		t.Errorf("is-active: exit %d, %q", code, out)
	}
	if code, _, errs := o.agents[0].run("drain", "web"); code != 6 || !strings.Contains(errs, "only observes") {
		t.Errorf("drain: exit %d, %s", code, errs)
	}
	if out := o.agents[0].must("status"); !strings.Contains(out, "OBSERVES ONLY") || !strings.Contains(out, "agrees") {
		t.Errorf("status:\n%s", out)
	}

	o.configure(0, 100) // swapped, and more
	o.configure(1, 200)
	o.differs(0, "advert", "this host advertises priority 150, not 100")
	o.differs(1, "holder", "192.0.2.2 advertises it with priority 150")
	o.silent()
	if out := o.agents[1].must("why", "web"); !strings.Contains(out, "vipd only observes") || !strings.Contains(out, "Differs") {
		t.Errorf("why:\n%s", out)
	}
	o.configure(0, 150)
	o.configure(1, 100)
	o.agree(0, 0)
	o.agree(1, 0)

	o.daemons[0].Kill() // its address stays behind
	o.differs(0, "holder", "not it alone: 192.0.2.3 advertises it with priority 100")
	o.agree(1, 1)
	o.keepalived(0)
	o.agree(0, 0)
	o.agree(1, 0)
	for i, want := range []string{
		"web advert agrees differs\nweb advert differs agrees\nweb holder agrees differs\nweb holder differs agrees\n",
		"web holder agrees differs\nweb holder differs agrees\n",
	} {
		if diff := cmp.Diff(want, o.history(i)); diff != "" {
			t.Errorf("events of lb%d (-want +got):\n%s", i+1, diff)
		}
	}
	for i, a := range o.agents {
		a.stop()
		o.unchanged(i)
		if list := o.kept(i); len(list) > 0 {
			t.Errorf("lb%d: it left %v", i+1, list)
		}
	}
}
