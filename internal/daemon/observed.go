package daemon

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/observe"
	"github.com/vipd/vipd/pkg/vrrp/vrrpnet"
)

// configureShadow watches the adverts of the virtual routers of a configuration. It
// belongs into a turn.
func (d *Daemon) configureShadow(cfg *config.Config) {
	s := d.shadow
	links, routers := map[string]bool{}, map[router]string{}
	for name, v := range cfg.Engine.VIPs {
		links[v.Interface] = true
		routers[router{v.Interface, v.VRID, v.Family4()}] = name
	}
	s.mu.Lock()
	s.routers = routers
	s.mu.Unlock()
	for link, end := range s.watches {
		if !links[link] {
			end()
			delete(s.watches, link)
		}
	}
	for link := range links {
		if s.watches[link] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(d.run)
		s.watches[link] = cancel
		d.spawn(func() error {
			defer cancel()
			d.watchAdverts(ctx, link)
			return nil
		})
	}
}

// watchAdverts sees all adverts on a link, also when that goes and comes back, until
// ctx ends.
func (d *Daemon) watchAdverts(ctx context.Context, link string) {
	said := ""
	for ctx.Err() == nil {
		err := vrrpnet.Watch(ctx, link, func(seen vrrpnet.Sighting) { d.shadow.saw(link, seen) })
		if err != nil && err.Error() != said {
			said = err.Error()
			d.log.Warn("adverts of others are not seen; trying again", "error", err)
		}
		select {
		case <-time.After(reopenAfter):
		case <-ctx.Done():
		}
	}
}

// saw notes an advert.
func (s *shadow) saw(link string, seen vrrpnet.Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, known := s.routers[router{link, seen.Advert.VRID, seen.Source.Is4()}]; known {
		s.world.Saw(name, observe.Sighting{Source: seen.Source, Own: seen.Own, Advert: seen.Advert, At: time.Now()})
	}
}

// look compares, until ctx ends.
func (d *Daemon) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	failed := false // once, until it works again
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		local, err := localAddresses()
		if err != nil && !failed {
			d.log.Warn("it is not known which addresses this host has", "error", err)
		}
		if failed = err != nil; failed {
			continue
		}
		d.turn(func(now time.Time) {
			for _, c := range d.shadow.compare(now, d.eng.Status(now), local) {
				d.step(engine.Noted{Record: observed(now, c)})
			}
		})
	}
}

func (s *shadow) compare(now time.Time, status engine.Status, local []netip.Addr) []observe.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.world.Look(now, decisions(status), local)
}

// localAddresses are all addresses of this host, on whichever interface another
// daemon puts them.
func localAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var list []netip.Addr
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				list = append(list, ip.Unmap())
			}
		}
	}
	return list, nil
}

// observed is the record of a change.
func observed(now time.Time, c observe.Change) engine.Record {
	r := engine.Record{
		Type: engine.RecordObserve, Name: c.VIP, From: "agrees", To: "differs", Reason: string(c.Kind), Severity: engine.Warning,
		Text: fmt.Sprintf("%s: %s", c.VIP, c.Text),
	}
	if !c.Begun {
		r.From, r.To, r.Severity, r.Took = r.To, r.From, engine.Notice, now.Sub(c.Since)
		r.Text = fmt.Sprintf("%s: agrees again after %s; before: %s", c.VIP, r.Took.Round(time.Second), c.Text)
	}
	return r
}

// disclose makes a status say what is decided and what is: nothing is held, and was
// sent, by a daemon that observes.
func (s *shadow) disclose(doc *control.StatusDocument, cfg *config.Config) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	doc.Node.Observing = true
	doc.Node.Unobserved = len(cfg.Engine.Services)
	for i := range doc.VIPs {
		v := &doc.VIPs[i]
		r := s.world.Report(v.Name)
		o := engine.ObservedStatus{Here: r.Here, Holders: r.Holders, Begun: map[string]uint64{}}
		for kind, n := range r.Begun {
			o.Begun[string(kind)] = n
		}
		for _, f := range r.Differences {
			o.Differences = append(o.Differences, engine.ObservedDifference{Kind: string(f.Kind), Text: f.Text, Since: f.Since})
		}
		v.Held, v.Observed = false, &o
		v.AdvertsSent, v.ReleasesSent, v.LostRestored, v.Contests = 0, 0, 0, 0
	}
}
