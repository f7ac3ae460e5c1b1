package labs

import (
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

var mac4, mac6 = netip.MustParseAddr("192.0.2.160"), netip.MustParseAddr("fd00:2::160")

// both2 has a VIP on the interface and one on its virtual MAC, each of both
// families, that stay where they are.
func both2(priority string) string {
	return `
[vip_defaults]
interface       = "eth0"
priority        = ` + priority + `
preempt         = false
advert_interval = "100ms"

[vip.web]
vrid      = 51
addresses = ["192.0.2.100/24", "fd00:2::100/64"]

[vip.mac]
vrid      = 60
vmac      = true
addresses = ["192.0.2.160/24", "fd00:2::160/64"]
`
}

// judge sees what each host says about some addresses, as its switch port sees
// it, and what clients get.
type judge struct {
	*pair
	vips   []netip.Addr
	ports  []*testenv.Observer // of the hosts
	probes []*testenv.Prober   // of the addresses
}

// judged asks for the addresses and probes them until the test ends.
func (p *pair) judged(vips ...netip.Addr) *judge {
	p.t.Helper()
	j := &judge{pair: p, vips: vips}
	for _, h := range p.hosts {
		tap, err := h.ObservePort("eth0")
		if err != nil {
			p.t.Fatal(err)
		}
		j.ports = append(j.ports, tap)
	}
	for _, ip := range vips {
		if _, err := p.client.WhoHas("eth0", ip, 0); err != nil {
			p.t.Fatal(err)
		}
		probes, err := p.client.Probe(netip.AddrPortFrom(ip, servicePort), 200)
		if err != nil {
			p.t.Fatal(err)
		}
		j.probes = append(j.probes, probes)
	}
	return j
}

// claims lists when a host said that it has an address: it answered a question,
// or announced it.
func (j *judge) claims(host int, ip netip.Addr, since time.Time) (at []time.Time) {
	for _, f := range j.ports[host].Since(since) {
		if !f.Out && (f.ARP != nil && f.ARP.Sender == ip || f.ND != nil && f.ND.Advertisement && f.ND.Target == ip) {
			at = append(at, f.Time)
		}
	}
	return at
}

// answers lists when a host answered a client.
func (j *judge) answers(host, vip int, since time.Time) (at []time.Time) {
	for _, p := range j.probes[vip].Report().Probes() {
		if p.Host == j.hosts[host].Name && p.Answered.After(since) {
			at = append(at, p.Answered)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// taken waits until the other host answers for every address.
func (j *judge) taken(by int) {
	j.t.Helper()
	for _, probes := range j.probes {
		j.answeredBy(probes, j.hosts[by].Name)
	}
}

// onlyNew demands that from the first word of the new holder on the old one said
// nothing about any address.
func (j *judge) onlyNew(event time.Time, was, is int) {
	j.t.Helper()
	if n := j.wrong(event, was, is); n > 0 {
		j.t.Errorf("%s answered %d times after %s did", j.hosts[was].Name, n, j.hosts[is].Name)
	}
}

// wrong counts what the old holder said from the first word of the new one on.
func (j *judge) wrong(event time.Time, was, is int) (n int) {
	j.t.Helper()
	for i, ip := range j.vips {
		for what, said := range map[string]func(int) []time.Time{
			"who-has": func(h int) []time.Time { return j.claims(h, ip, event) },
			"probe":   func(h int) []time.Time { return j.answers(h, i, event) },
		} {
			first := said(is)
			if len(first) == 0 {
				j.t.Errorf("%s: %s never answered a %s", ip, j.hosts[is].Name, what)
				continue
			}
			wrong := slices.DeleteFunc(said(was), func(at time.Time) bool { return at.Before(first[0]) })
			j.t.Logf("%s: %s answers a %s after %v, %d times; %s after that %d times", ip, j.hosts[is].Name, what,
				first[0].Sub(event).Round(time.Millisecond), len(first), j.hosts[was].Name, len(wrong))
			n += len(wrong)
		}
	}
	return n
}

// passes lets time pass.
func passes(t *testing.T, d time.Duration) {
	mark := time.Now()
	testenv.Eventually(t, d+10*time.Second, "time to pass", func() bool { return time.Since(mark) >= d })
}

// TestHungHolder: every process of the holder is killed, or stopped for five
// seconds. It falls silent before the other host answers, whatever is left on it,
// and stays so when it wakes up.
func TestHungHolder(t *testing.T) {
	for name, talks := range map[string]bool{"plain": false, "pair": true} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			var agents []*agent
			for i, h := range p.hosts {
				config := both2([]string{"150", "100"}[i])
				if talks {
					config = p.talking(i) + config
				}
				agents = append(agents, p.vipd(h, config))
				agents[0].waitState("web", "ACTIVE")
				agents[0].waitState("mac", "ACTIVE")
			}
			agents[1].waitState("web", "BACKUP")
			agents[1].waitState("mac", "BACKUP")
			j := p.judged(vip4, vip6, mac4, mac6)
			j.taken(0)
			j.killed(agents[0], agents[1])
			j.stopped(agents[1], agents[0])
			if !talks {
				j.killed(agents[0], agents[1])
			}
		})
	}
}

// killed kills the holder and starts it again.
func (j *judge) killed(holder, other *agent) {
	j.t.Helper()
	mark := time.Now()
	if err := holder.proc.SignalGroup(syscall.SIGKILL); err != nil {
		j.t.Fatal(err)
	}
	was := slices.Index(j.hosts, holder.host)
	j.taken(1 - was)
	passes(j.t, 300*time.Millisecond)
	for _, ip := range j.vips {
		if !holder.host.Holds(ip) {
			j.t.Errorf("%s left nothing of %s behind: this test proves nothing", holder.host.Name, ip)
		}
	}
	holder.start()
	for _, vip := range []string{"web", "mac"} {
		holder.waitState(vip, "BACKUP")
		other.waitState(vip, "ACTIVE")
	}
	testenv.Eventually(j.t, 5*time.Second, "the old holder to remove what it left", func() bool {
		return !slices.ContainsFunc(j.vips, holder.host.Holds)
	})
	j.onlyNew(mark, was, 1-was)
}

// stopped stops the holder for five seconds.
func (j *judge) stopped(holder, other *agent) {
	j.t.Helper()
	mark := time.Now()
	if err := holder.proc.SignalGroup(syscall.SIGSTOP); err != nil {
		j.t.Fatal(err)
	}
	was := slices.Index(j.hosts, holder.host)
	j.taken(1 - was)
	passes(j.t, time.Until(mark.Add(5*time.Second)))
	for _, ip := range j.vips {
		if !holder.host.Holds(ip) {
			j.t.Errorf("%s has no %s any more: this test proves nothing", holder.host.Name, ip)
		}
	}
	if err := holder.proc.SignalGroup(syscall.SIGCONT); err != nil && !os.IsNotExist(err) {
		j.t.Fatal(err)
	}
	for _, vip := range []string{"web", "mac"} {
		holder.waitState(vip, "BACKUP")
		other.waitState(vip, "ACTIVE")
	}
	passes(j.t, 300*time.Millisecond)
	j.onlyNew(mark, was, 1-was)
	late := slices.ContainsFunc(holder.events("lease"), func(e event) bool { return e.To == "lost" && e.Reason == "late-wake" })
	if !late {
		j.t.Errorf("%s does not tell that it woke up late: %+v", holder.host.Name, holder.events("lease"))
	}
}

// TestKilledWithoutLease: what the lease is for. Without one, both hosts answer for
// as long as nobody looks.
func TestKilledWithoutLease(t *testing.T) {
	p, lb1, _, _ := started(t, 100*time.Millisecond, `lease = "none"`)
	j := p.judged(vip4)
	j.taken(0)
	mark := time.Now()
	lb1.kill()
	testenv.Eventually(t, 5*time.Second, "both hosts to answer for it", func() bool {
		return len(j.claims(1, vip4, mark)) > 0 && len(j.answers(1, 0, mark)) > 0 && j.wrong(mark, 0, 1) > 20
	})
}

// TestKilledWithLifetime: with lease = "address" the kernel removes the addresses
// of a host that was killed, two to three and a quarter seconds later.
func TestKilledWithLifetime(t *testing.T) {
	p, lb1, lb2, _ := started(t, 100*time.Millisecond, `lease = "address"`)
	mark := time.Now()
	lb1.kill()
	lb2.waitState("web", "ACTIVE")
	if !lb1.host.Holds(vip4) {
		t.Error("lb1 has the address no more: this test proves nothing")
	}
	testenv.Eventually(t, 10*time.Second, "the address to go", func() bool { return !lb1.host.Holds(vip4) })
	p.within(3250*time.Millisecond, "gone", mark, time.Since(mark))
	p.oneHolder(lb2, lb1)
}
