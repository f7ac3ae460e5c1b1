package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/internal/netif"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/observe"
	"github.com/vipd/vipd/pkg/vrrp"
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
		err := vrrpnet.Watch(ctx, link, func(seen vrrpnet.Sighting) {
			d.shadow.saw(link, seen)
			if heard, ok := d.shadow.believes(*d.portList.Load(), link, seen); ok {
				d.post(heard)
			}
		})
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

// judge believes adverts, or does not, as the socket of an interface would.
type judge struct {
	of     *membership
	filter *vrrp.Filter
	marks  vrrp.Marks
}

// believes makes the event of an advert that vipd would believe. The socket is not
// asked: where another daemon has a virtual MAC, the kernel keeps adverts from that
// MAC from everybody else.
func (s *shadow) believes(ports []*port, link string, seen vrrpnet.Sighting) (engine.Event, bool) {
	key := portKey{link, seen.Source.Is4()}
	i := slices.IndexFunc(ports, func(p *port) bool { return p.key == key })
	if i < 0 || seen.Own {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j, of := s.judges[key], ports[i].members.Load()
	if j == nil || j.of != of {
		j = &judge{of: of, filter: vrrp.NewFilter(of.own, of.members...)}
		s.judges[key] = j
	}
	a, err := j.filter.Accept(seen.Datagram, &j.marks)
	if err != nil {
		return nil, false // counted by the socket
	}
	return engine.AdvertReceived{Interface: link, Source: seen.Source, Advert: a.Advert, Checksum: a.Checksum, Signed: a.Signed}, true
}

// saw notes an advert.
func (s *shadow) saw(link string, seen vrrpnet.Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, known := s.routers[router{link, seen.Advert.VRID, seen.Source.Is4()}]; known {
		s.world.Saw(name, observe.Sighting{Source: seen.Source, Own: seen.Own, Advert: seen.Advert, At: seen.Time})
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
		local, err := netif.Local()
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
