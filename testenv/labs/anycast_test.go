package labs

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// anycast is the prefix that the ToR hears of.
var anycast = netip.MustParsePrefix("198.51.100.53/32")

// tor starts a router for the hosts of the pair, on a host of its own.
func (p *pair) tor() peers.ToR {
	p.t.Helper()
	h := p.host("tor", "192.0.2.1/24")
	t, err := peers.StartBIRDToR(h, peers.ToRConfig{
		AS: 65001, RouterID: "192.0.2.1", Neighbors: []peers.ToRNeighbor{{Address: "192.0.2.2", AS: 65101, HoldTime: 3 * time.Second}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return t
}

// tells waits until the ToR has the prefix, or has it no more.
func (p *pair) tells(t peers.ToR, want bool, when string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	var seen []netip.Prefix
	err := testenv.Until(ctx, func() bool {
		var err error
		seen, err = t.Prefixes(ctx)
		return err == nil && slices.Contains(seen, anycast) == want
	})
	if err != nil {
		p.t.Fatalf("%s: the ToR has %v, want %s in it: %v (%v)", when, seen, anycast, want, err)
	}
}

// TestAnycast: a service is announced while its check is good, and by nobody
// when the core or the speaker does not work; a VIP on the same host never
// notices what becomes of the speaker.
func TestAnycast(t *testing.T) {
	p := newPair(t, "bird")
	tor := p.tor()
	good := filepath.Join(p.hosts[0].Dir(), "good")
	if err := os.WriteFile(good, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lb1 := p.vipd(p.hosts[0], fmt.Sprintf(`
[vip.web]
interface = "eth0"
vrid = 51
advert_interval = "100ms"
addresses = ["%s/24"]
[bgp]
local_as = 65101
router_id = "192.0.2.2"
drain = { wait = "100ms" }
[bgp.neighbor.tor]
address = "192.0.2.1"
remote_as = 65001
hold_time = "3s"
[anycast.dns]
prefixes = ["%s"]
track = { good = "withdraw" }
rise_delay = "0s"
[check.good]
type = "file"
path = %q
`, vip4, anycast, good))
	p.tells(tor, true, "started")
	lb1.eventually(10*time.Second, "web to be held", func() bool { return lb1.vip("web").Held })
	since := lb1.vip("web").Since

	if err := os.Remove(good); err != nil {
		t.Fatal(err)
	}
	p.tells(tor, false, "the check fails")
	if why := lb1.must("why", "dns"); !strings.Contains(why, "check good") {
		t.Errorf("vipd why dns names no check:\n%s", why)
	}
	if err := os.WriteFile(good, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.tells(tor, true, "the check passes again")

	killed := time.Now()
	if err := syscall.Kill(speakerOf(t, lb1.proc.Pid()), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lb1.eventually(20*time.Second, "another speaker to have a session", func() bool { // the ToR may lack the prefix for a moment only
		return slices.ContainsFunc(lb1.events("bgp_session"), func(e event) bool { return e.To == "ESTABLISHED" && e.Time.After(killed) })
	})
	p.tells(tor, true, "it was started again")
	if v := lb1.vip("web"); !v.Held || !v.Since.Equal(since) {
		t.Errorf("web moved when the speaker died: %+v", v)
	}

	lb1.signal(syscall.SIGSTOP)
	p.tells(tor, false, "the core is stopped")
	lb1.signal(syscall.SIGCONT)
	p.tells(tor, true, "the core goes on")

	lb1.must("drain", "--wait", "dns")
	p.tells(tor, false, "drained")
	lb1.must("undrain", "dns")
	p.tells(tor, true, "undrained")
	lb1.kill()
	p.tells(tor, false, "the core is killed")
}

// speakerOf finds the child that speaks BGP.
func speakerOf(t *testing.T, core int) int {
	t.Helper()
	var text []byte
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", core))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		more, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", core, task.Name()))
		if err == nil {
			text = append(append(text, ' '), more...)
		}
	}
	for _, pid := range strings.Fields(string(text)) {
		var n int
		line, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if _, scanned := fmt.Sscan(pid, &n); err == nil && scanned == nil && strings.Contains(string(line), "\x00speaker") {
			return n
		}
	}
	t.Fatalf("no speaker among the children of %d: %s", core, text)
	return 0
}

// toRs are the routers that every lab of a rack runs with.
var toRs = map[string]func(*testenv.Host, peers.ToRConfig) (peers.ToR, error){
	"frr":  func(h *testenv.Host, c peers.ToRConfig) (peers.ToR, error) { return peers.StartFRRToR(h, c) },
	"bird": func(h *testenv.Host, c peers.ToRConfig) (peers.ToR, error) { return peers.StartBIRDToR(h, c) },
}

// withToRs runs a lab with each router, again where the machine stopped what was
// to be shown, but not for ever.
func withToRs(t *testing.T, lab func(*testing.T, func(*testenv.Host, peers.ToRConfig) (peers.ToR, error)) bool) {
	for name, start := range toRs {
		t.Run(name, func(t *testing.T) {
			shown := false
			for try := 1; !shown && !t.Failed(); try++ {
				if try > 5 {
					t.Fatal("the machine is too slow")
				}
				t.Run(fmt.Sprintf("run %d", try), func(t *testing.T) { shown = lab(t, start) })
			}
		})
	}
}
