package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vipd/vipd/testenv"
)

// guarded is what a host is configured with that tells others of itself and falls
// silent when it hangs. keepalived has neither, and gets what it has of the rest.
type guarded struct {
	talks bool   // hosts have a channel
	paths bool   // it has a second network
	lease string // "" = as it comes
	vmac  bool
	stays bool // who has the address keeps it
	many  int  // addresses of each virtual router; 0 = one

	takeover string    // "" = as it comes
	levels   string    // how each host cuts the other one off
	more     [2]string // of the configuration of each host
}

// backs are the hosts' addresses on the second network.
var backs = [2]string{"10.9.8.1", "10.9.8.2"}

// number is 0 for lb1 and 1 for lb2.
func number(h *testenv.Host) int { return int(h.Name[len(h.Name)-1] - '1') }

// attach plugs a host into the second network.
func (g *guarded) attach(l *testenv.Lab, h *testenv.Host) error {
	if g == nil || !g.paths {
		return nil
	}
	back, err := l.Segment("back")
	if err == nil {
		_, err = h.Attach(back, backs[number(h)]+"/24")
	}
	return err
}

// vipd is the part of vipd.toml about the channel.
func (g *guarded) vipd(h *testenv.Host) (string, error) {
	if g == nil || !g.talks {
		return "", nil
	}
	other := 1 - number(h)
	key, err := keyFile(h, "pair-key")
	paths := fmt.Sprintf("%q", source(other))
	if g.paths {
		paths += fmt.Sprintf(", %q", backs[other])
	}
	text := fmt.Sprintf("[pair]\nkey_file = %q\n[peer.lb%d]\naddresses = [%s]\n%s\n%s", key, other+1, paths, g.levels, g.more[number(h)])
	if g.levels != "" {
		text = "script_user = \"root\"\n" + text // the agents are programs of the lab
	}
	return text, err
}

// keyFile writes a key that all hosts have.
func keyFile(h *testenv.Host, name string) (path string, err error) {
	path = filepath.Join(h.Dir(), name)
	return path, os.WriteFile(path, []byte(strings.Repeat("k", 32)), 0o600)
}

// vip is the part about a VIP.
func (g *guarded) vip() string {
	if g == nil {
		return ""
	}
	text := fmt.Sprintf("vmac = %t\npreempt = %t\n", g.vmac, !g.stays)
	if g.takeover != "" {
		text += fmt.Sprintf("takeover = %q\n", g.takeover)
	}
	if g.lease != "" {
		text += fmt.Sprintf("lease = %q\n", g.lease)
	}
	return text
}

// addresses are those of a virtual router, up to 250: further ones are
// 198.18.(16+VRID).2 and up.
func (s spec) addresses(vrid int) []string {
	list := []string{address(vrid).String()}
	for i := 1; s.guard != nil && i < s.guard.many; i++ {
		list = append(list, netip.AddrFrom4([4]byte{198, 18, byte(16 + vrid), byte(1 + i)}).String())
	}
	return list
}

// without leaves daemons out.
func (b *bench) without(names ...string) *bench {
	c := *b
	c.daemons = slices.DeleteFunc(slices.Clone(b.daemons), func(d daemon) bool { return slices.Contains(names, d.name) })
	return &c
}

// together has labs of their own work through the runs at the same time: for what
// is counted and not timed.
func (b *bench) together(ctx context.Context, t *table, specs map[string]spec, once func(ctx context.Context, p *pair, what string, run int) error) error {
	var wg sync.WaitGroup
	for what, s := range specs {
		for _, d := range b.without("frr").daemons {
			wg.Go(func() {
				p, err := newPair(ctx, d, s)
				for run := 0; err == nil && run < b.runs && ctx.Err() == nil; run++ {
					if err = once(ctx, p, what, run); err != nil {
						b.say("%s, %s, run %d: %v", t.title, d.name, run+1, err)
						t.failed(d.name, err)
						p, err = b.fresh(ctx, p)
					}
					if p == nil {
						return
					}
				}
				if err != nil {
					t.failed(d.name, err)
				}
				if p != nil {
					_ = p.close()
				}
			})
		}
	}
	wg.Wait()
	b.finished(t)
	return ctx.Err()
}

// measureHang kills and stops every process of the holder.
func measureHang(ctx context.Context, b *bench) error {
	t := b.table("Daemon killed, and stopped for 5 s, adverts every 100 ms", "Every process of the holder's daemon gets SIGKILL, and is started "+
		"again after a second; or SIGSTOP, and SIGCONT five seconds later. Nobody preempts. A client asks who has the address 50 times a second and probes "+
		"it 200 times. *Wrong* are the answers and announcements of the old holder from the first one of the new holder until a second after the return. "+
		"Labs run at the same time.",
		"killed: wrong who-has answers", "stopped: wrong who-has answers", "killed, virtual MAC: wrong who-has answers", "stopped, virtual MAC: wrong who-has answers").
		guard("vipd", "keepalived")
	s := spec{interval: 100 * time.Millisecond, vips: 1}
	plain, vmac := s, s
	plain.guard, vmac.guard = &guarded{talks: true, stays: true}, &guarded{talks: true, stays: true, vmac: true}
	return b.together(ctx, t, map[string]spec{"": plain, ", virtual MAC": vmac}, func(ctx context.Context, p *pair, what string, _ int) error {
		for _, f := range []fault{killed, stopped} {
			if err := f.once(ctx, p, what, t); err != nil {
				return err
			}
		}
		return nil
	})
}

// measureMoves moves the address in every planned way.
func measureMoves(ctx context.Context, b *bench) error {
	total := newTable("Planned moves, adverts every 100 ms", "All of the planned moves below together, with a channel between the hosts.",
		"lost probes", "probes", "moves").guard("vipd", "keepalived")
	b.tables = append(b.tables, total)
	for _, h := range []handover{sigterm, drain, failover, priorityChange} {
		t := b.table(h.title+", with a channel, adverts every 100 ms", h.text).guard("vipd", "keepalived")
		s := spec{interval: 100 * time.Millisecond, vips: 1, guard: &guarded{talks: true}}
		err := b.without("frr").turns(ctx, t, s, func(ctx context.Context, p *pair, part float64, t *table) error {
			if err := h.once(ctx, p, part, t); err != nil {
				return err
			}
			return window(ctx, settled)
		})
		if err != nil {
			return err
		}
		for _, r := range t.rows {
			for name, samples := range r.samples {
				for _, n := range samples {
					total.sum(r.label, name, n)
				}
			}
		}
	}
	b.finished(total)
	return nil
}

// sum adds up what a table of moves says.
func (t *table) sum(label, daemon string, n float64) {
	into := map[string]string{"lost probes": "lost probes", "fail-back: lost probes": "lost probes", "probes": "probes", "moves": "moves",
		"probes that waited for a service that was not run": "probes that waited for a service that was not run"}[label]
	if into == "" {
		return
	}
	for _, r := range t.rows {
		if list := r.samples[daemon]; r.label == into && len(list) > 0 {
			list[0] += n
			return
		}
	}
	t.add(into, "", daemon, n)
}

// measureGuardCheck kills a service that is watched by event.
func measureGuardCheck(ctx context.Context, b *bench) error {
	for _, interval := range []time.Duration{100 * time.Millisecond, time.Second} {
		t := b.table(fmt.Sprintf("Service killed, watched by event, with a channel, adverts every %s", interval),
			"The service of the holder gets SIGKILL; its check is of `type = \"process\"`. keepalived's way of hearing of that works in the first network "+
				"namespace only.", "first answer").guard("vipd")
		s := spec{interval: interval, vips: 1, watch: byEvent, guard: &guarded{talks: true}}
		if err := b.without("frr", "keepalived").turns(ctx, t, s, killService); err != nil {
			return err
		}
	}
	return nil
}

// measureGuardStart starts both hosts at once.
func measureGuardStart(ctx context.Context, b *bench) error {
	t := b.table("Start of two hosts with 255 VIPs, adverts every 1s", "Both hosts start at once, and nobody holds anything. From the start of the processes until the "+
		"kernel of lb1 has all addresses.", "all held").guard("vipd", "keepalived")
	for range max(1, b.runs) {
		for _, d := range b.without("frr").daemons {
			if err := b.startBoth(ctx, d, t); err != nil {
				if ctx.Err() != nil {
					return err
				}
				t.failed(d.name, err)
			}
		}
	}
	b.finished(t)
	return nil
}

func (b *bench) startBoth(ctx context.Context, d daemon, t *table) error {
	p, err := emptyPair(d, spec{interval: time.Second, vips: 255, guard: &guarded{talks: true}})
	if err != nil {
		return err
	}
	defer func() { _ = p.close() }()
	w, err := watchAddresses(p.hosts[0], 255)
	if err != nil {
		return err
	}
	defer w.close()
	started := time.Now()
	for i := range p.hosts {
		if err := p.start(i); err != nil {
			return err
		}
	}
	all, err := w.wait(ctx)
	if err != nil {
		return fmt.Errorf("%w: %s", err, tail(p.agents[0].output()))
	}
	t.add("all held", "ms", d.name, ms(all.Sub(started)))
	return nil
}

// measureGuardLoss loses a third of what the hosts say to each other on the network
// of the addresses.
func measureGuardLoss(ctx context.Context, b *bench) error {
	t := b.table(fmt.Sprintf("30 %% of all between the hosts lost on one of two networks for %s, adverts every 100 ms", b.loss),
		"Frames between the hosts are lost in the network where the address is; vipd has a channel over both.", "lost probes", "takeovers by the Backup").
		guard("vipd", "keepalived")
	once := *b
	once.runs = 1
	specs := map[string]spec{"": {interval: 100 * time.Millisecond, vips: 1, guard: &guarded{talks: true, paths: true}}}
	return once.together(ctx, t, specs, func(ctx context.Context, p *pair, _ string, _ int) error {
		sent, err := p.hosts[1].ObservePort("eth0")
		if err != nil {
			return err
		}
		probes, err := p.steady(ctx, 0)
		if err != nil {
			return err
		}
		defer probes.Stop()
		lan, err := p.lab.Segment("lan")
		for i := range p.hosts {
			if err == nil {
				err = p.lab.LossOn(lan, p.hosts[i], p.hosts[1-i], 30, testenv.MatchAll)
			}
		}
		if err != nil {
			return err
		}
		from := time.Now()
		if err := window(ctx, b.loss); err != nil {
			return err
		}
		r := probes.Stop().Since(from)
		t.add("probes", "", p.daemon.name, float64(r.Sent))
		t.add("lost probes", "", p.daemon.name, float64(r.Lost))
		t.add("takeovers by the Backup", "", p.daemon.name, float64(episodes(adverts(sent.Since(from), 1), p.spec.interval)))
		return nil
	})
}

// attackFor is how long a stranger advertises.
const attackFor = 5 * time.Second

// measureSpoof has a stranger advertise.
func measureSpoof(ctx context.Context, b *bench) error {
	t := b.table("Spoofed adverts, adverts every 100 ms", fmt.Sprintf("A third host sends a thousand adverts a second for %s, of priority 255 or 0, from its own "+
		"address or from that of the other host. vipd has a channel and no authentication of adverts. Labs run at the same time.", attackFor),
		"255 of its own: lost probes", "255 of the peer: lost probes", "0 of its own: lost probes", "0 of the peer: lost probes").guard("vipd", "keepalived")
	specs := map[string]spec{"": {interval: 100 * time.Millisecond, vips: 1, guard: &guarded{talks: true}}}
	return b.together(ctx, t, specs, func(ctx context.Context, p *pair, _ string, run int) error { return spoof(ctx, p, run, t) })
}

// spoof is one attack.
func spoof(ctx context.Context, p *pair, run int, t *table) error {
	name, from := "of its own", netip.MustParseAddr("198.18.1.66")
	if run%2 == 1 {
		name, from = "of the peer", source(1)
	}
	priority := []byte{255, 0}[run/2%2]
	if p.mallory == nil {
		var err error
		if p.mallory, err = p.lab.Host("mallory", "198.18.1.66/16"); err != nil {
			return err
		}
	}
	out, err := p.mallory.Injector("eth0")
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // the lab closes it otherwise
	probes, err := p.steady(ctx, 0)
	if err != nil {
		return err
	}
	defer probes.Stop()
	list := served.As4()
	advert := append([]byte{0x31, 1, priority, 1, 0, 10, 0, 0}, list[:]...)
	seal(advert)
	frame := testenv.Packet{
		SourceMAC: p.mallory.MAC("eth0"), DestinationMAC: net.HardwareAddr{0x01, 0, 0x5e, 0, 0, 0x12},
		Source: from, Destination: netip.MustParseAddr("224.0.0.18"), Protocol: 112, HopLimit: 255, Payload: advert,
	}.Marshal()
	began := time.Now()
	for sent := 0; time.Since(began) < attackFor; {
		for due := int(time.Since(began) / time.Millisecond); sent < due; sent++ {
			if _, err := out.Send(frame); err != nil {
				return err
			}
		}
		if err := window(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	ended := time.Now()
	if err := window(ctx, settled); err != nil {
		return err
	}
	r := probes.Stop().Between(began, ended)
	label := fmt.Sprintf("%d %s: ", priority, name)
	t.add(label+"lost probes", "%", p.daemon.name, 100*float64(r.Lost)/float64(max(1, r.Sent)))
	t.add(label+"answered by the Backup", "%", p.daemon.name, 100*float64(r.ByHost["lb2"])/float64(max(1, r.Sent)))
	return nil
}

// seal fills in the checksum over the message alone (RFC 9568, Section 5.2.8).
func seal(b []byte) {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	b[6], b[7] = byte(^sum>>8), byte(^sum)
}
