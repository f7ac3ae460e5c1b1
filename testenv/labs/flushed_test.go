package labs

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// TestRulesFlushed: somebody flushes the packet filter, deletes the table of the
// leases, all addresses, and the device of the virtual MAC, at the holder and at
// the other host, and kills the holder. In the end one host holds each address,
// and never do two answer.
func TestRulesFlushed(t *testing.T) {
	p := newPair(t, "nft", "ip")
	var agents []*agent
	for i, h := range p.hosts {
		agents = append(agents, p.vipd(h, both2([]string{"150", "100"}[i])))
		agents[0].waitState("web", "ACTIVE")
		agents[0].waitState("mac", "ACTIVE")
	}
	for _, vip := range []string{"web", "mac"} {
		agents[1].waitState(vip, "BACKUP")
	}
	j := p.judged(vip4, vip6, mac4, mac6)
	j.taken(0)
	mark := time.Now()
	run := func(a *agent, args ...string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := a.host.Run(ctx, args[0], args[1:]...)
		t.Logf("%s: %s: %v", a.host.Name, strings.Join(args, " "), err)
		return err
	}
	for _, a := range agents {
		for range 3 {
			_ = run(a, "nft", "flush", "ruleset")
			_ = run(a, "nft", "delete", "table", "netdev", "vipd") // not permitted where the kernel knows owners
		}
		j.settled(agents)
		if err := run(a, "nft", "list", "table", "netdev", "vipd"); err != nil {
			t.Error("there is no table any more")
		}
	}
	flushed := j.settled(agents)[0]
	own := flushed.host.Addresses("eth0")
	if err := run(flushed, "ip", "addr", "flush", "dev", "eth0"); err != nil {
		t.Fatal(err)
	}
	passes(t, 500*time.Millisecond)
	for _, prefix := range own {
		if !slices.Contains(j.vips, prefix.Addr()) && !slices.Contains(flushed.host.Addresses("eth0"), prefix) {
			if err := flushed.host.AddAddress("eth0", prefix); err != nil {
				t.Fatal(err)
			}
		}
	}
	holder := j.settled(agents)[1]
	for _, device := range macvlans(t, holder.host) {
		if err := run(holder, "ip", "link", "del", device); err != nil {
			t.Fatal(err)
		}
	}
	killed := j.settled(agents)[0]
	killed.kill() // the leases are in force all the same
	passes(t, time.Second)
	killed.start()
	j.settled(agents)
	for i, ip := range j.vips {
		j.oneAtATime(i, ip, mark)
	}
}

// settled waits until one host holds each VIP, and returns the holders of web and
// of mac.
func (j *judge) settled(agents []*agent) (holders []*agent) {
	j.t.Helper()
	for n, vip := range []string{"web", "mac"} {
		agents[0].eventually(10*time.Second, vip+" to have one holder", func() bool {
			holders = holders[:n]
			for _, a := range agents {
				v := a.vip(vip)
				if v.State != "ACTIVE" && v.State != "BACKUP" {
					return false
				}
				if v.State == "ACTIVE" && v.Held {
					holders = append(holders, a)
				}
			}
			return len(holders) == n+1
		})
	}
	for i, probes := range j.probes {
		h := holders[i/2].host
		j.answeredBy(probes, h.Name)
		for _, other := range j.hosts {
			if other.Holds(j.vips[i]) != (other == h) {
				j.t.Errorf("%s is Active; %s has %s: %t", h.Name, other.Name, j.vips[i], other.Holds(j.vips[i]))
			}
		}
	}
	return holders
}

// oneAtATime demands that no host answered for an address after another one had
// begun to, unless it took it from that one.
func (j *judge) oneAtATime(i int, ip netip.Addr, since time.Time) {
	j.t.Helper()
	type turn struct {
		host     int
		from, to time.Time
	}
	var turns []turn
	said := [2][]time.Time{}
	for host := range said {
		said[host] = append(j.claims(host, ip, since), j.answers(host, i, since)...)
		slices.SortFunc(said[host], time.Time.Compare)
	}
	for len(said[0])+len(said[1]) > 0 {
		host := 0
		if len(said[0]) == 0 || len(said[1]) > 0 && said[1][0].Before(said[0][0]) {
			host = 1
		}
		at := said[host][0]
		said[host] = said[host][1:]
		if n := len(turns); n > 0 && turns[n-1].host == host {
			turns[n-1].to = at
			continue
		}
		turns = append(turns, turn{host, at, at})
	}
	j.t.Logf("%s: %d turns", ip, len(turns))
	for n := 2; n < len(turns); n++ {
		if gap := turns[n].from.Sub(turns[n-2].to); gap < 200*time.Millisecond {
			j.t.Errorf("%s: %s answered, %s did %v later, and %s again %v after its last answer", ip, j.hosts[turns[n].host].Name,
				j.hosts[turns[n-1].host].Name, turns[n-1].from.Sub(turns[n-2].to), j.hosts[turns[n].host].Name, gap)
		}
	}
}

// macvlans lists the devices of virtual MACs of a host.
func macvlans(t *testing.T, h *testenv.Host) (names []string) {
	t.Helper()
	links, err := h.NS.Netlink().LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Type() == "macvlan" {
			names = append(names, l.Attrs().Name)
		}
	}
	if len(names) == 0 {
		t.Fatalf("%s has no device of a virtual MAC", h.Name)
	}
	return names
}
