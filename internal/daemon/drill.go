package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/check/probe"
	"github.com/vipd/vipd/pkg/engine"
)

// A client of a drill asks this often, waits this long for an answer, and is
// answered in the end when one of so many last probes was.
const (
	clientEvery   = 20 * time.Millisecond
	clientPatient = 100 * time.Millisecond
	clientLast    = 10
)

// client looks at a VIP from this host while a peer has it.
type client struct {
	vip    string
	target string
	spec   check.Spec
	stop   context.CancelFunc

	mu     sync.Mutex
	probes []clientProbe // in the order in which they were sent
}

// clientProbe is one look.
type clientProbe struct {
	sent   time.Time
	ended  time.Time // answered, or given up
	ok     bool
	detail string
}

// probeVIP begins the look of a client, or ends it. It belongs into a turn.
func (d *Daemon) probeVIP(a engine.ProbeVIP) {
	if !a.On {
		if d.client != nil {
			d.client.stop()
			d.client = nil
		}
		return
	}
	c := &client{vip: a.VIP, target: a.ProbeTarget(), spec: check.ICMP{Target: a.Address.String()}}
	if a.Target != "" {
		c.spec = check.TCP{Address: a.Target}
	}
	var ctx context.Context
	ctx, c.stop = context.WithCancel(d.run)
	d.client = c
	d.spawn(func() error {
		c.look(ctx, d.run)
		d.post(engine.VIPProbed{VIP: c.vip, Client: c.report()})
		return nil
	})
}

// look probes until ctx ends, and waits for the last answers, but no longer than
// the edges live.
func (c *client) look(ctx, edges context.Context) {
	var pending sync.WaitGroup
	tick := time.NewTicker(clientEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		c.mu.Lock()
		i := len(c.probes)
		c.probes = append(c.probes, clientProbe{sent: time.Now()})
		c.mu.Unlock()
		pending.Go(func() {
			r := probe.Once(edges, check.Config{Spec: c.spec, Timeout: clientPatient}, probe.Settings{})
			c.mu.Lock()
			defer c.mu.Unlock()
			p := &c.probes[i]
			p.ended, p.ok, p.detail = time.Now(), r.OK, r.Detail
		})
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	pending.Wait()
}

// report adds up what the client saw. A time without an answer lasts from when the
// first probe was sent that was lost, until one that was sent later is answered, or
// the last one is given up.
func (c *client) report() engine.ClientReport {
	r := engine.ClientReport{Target: c.target, Sent: len(c.probes)}
	var since time.Time
	for i, p := range c.probes {
		if !p.ok {
			r.Lost++
			r.Detail = p.detail
			if since.IsZero() {
				since = p.sent
			}
		}
		if !since.IsZero() {
			r.Outage = max(r.Outage, p.ended.Sub(since))
		}
		if p.ok {
			since = time.Time{}
		}
		r.OK = r.OK || p.ok && i >= len(c.probes)-clientLast
	}
	if r.OK {
		r.Detail = ""
	}
	return r
}
