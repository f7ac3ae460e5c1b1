package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vipd/vipd/internal/control"
	channel "github.com/vipd/vipd/internal/pair"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/pair"
)

// pairing is the channel to the other hosts. It is used in turns only, but for open.
type pairing struct {
	cfg    channel.Config // in force; no Node = there is none
	cancel context.CancelFunc
	ready  *channel.Channel // nil = not open
	tell   *pair.State      // what this turn has to tell
	open   atomic.Pointer[channel.Channel]
}

// send tells the peers what this turn has to tell.
func (p *pairing) send() {
	if p.tell != nil && p.ready != nil {
		p.ready.Send(p.tell)
	}
	p.tell = nil
}

// poll hands on what has come in already.
func (p *pairing) poll(heard func(channel.Heard)) {
	if c := p.open.Load(); c != nil {
		_ = c.Poll(heard) // what is wrong with the socket Run finds out
	}
}

// counts is what was seen on the channel, nil while it is not open.
func (p *pairing) counts() *control.PairCount {
	c := p.open.Load()
	if c == nil {
		return nil
	}
	n := c.Counters()
	out := &control.PairCount{Sent: n.Sent, Unsent: n.Unsent, Received: n.Received, Refused: byCause(n.Refused)}
	for _, name := range slices.Sorted(maps.Keys(n.Peers)) {
		seen := n.Peers[name]
		one := control.PeerCount{Name: name, Version: seen.Version, Refused: byCause(seen.Refused)}
		for _, w := range seen.Paths {
			if w.Err != "" {
				one.Errors = append(one.Errors, control.PathError{Address: w.Address, Text: w.Err})
			}
		}
		out.Peers = append(out.Peers, one)
	}
	return out
}

// byCause has the causes as words.
func byCause(list map[pair.Cause]uint64) map[string]uint64 {
	out := make(map[string]uint64, len(list))
	for cause, n := range list {
		out[string(cause)] = n
	}
	return out
}

// configurePair opens the channel, gives it other peers, opens it elsewhere, or
// closes it. It belongs into a turn.
func (d *Daemon) configurePair(cfg *config.Config) {
	p := &d.pair
	next := channel.Config{}
	if cfg.Engine.Pair != nil {
		next = channel.Config{Node: cfg.Engine.Node, Listen: cfg.Pair.Listen, Key: []byte(cfg.Pair.Key), Peers: cfg.Pair.Peers}
	}
	if reflect.DeepEqual(next, p.cfg) {
		return
	}
	same := next.Listen == p.cfg.Listen && next.Node == p.cfg.Node
	p.cfg = next
	if same && p.ready != nil {
		if err := p.ready.Set(next); err == nil {
			return
		}
	}
	if p.cancel != nil {
		p.cancel()
		p.cancel, p.ready = nil, nil
	}
	if next.Node == "" {
		return
	}
	ctx, cancel := context.WithCancel(d.run)
	p.cancel = cancel
	d.spawn(func() error {
		defer cancel()
		d.talk(ctx, next)
		return nil
	})
}

// talk keeps the channel open until ctx ends.
func (d *Daemon) talk(ctx context.Context, cfg channel.Config) {
	for ctx.Err() == nil {
		err := d.converse(ctx, cfg)
		if ctx.Err() != nil {
			return
		}
		d.turn(func(time.Time) {
			if ctx.Err() == nil {
				d.pair.ready = nil
				d.step(engine.PairDown{Err: fmt.Sprint(err)})
			}
		})
		select {
		case <-time.After(reopenAfter):
		case <-ctx.Done():
		}
	}
}

// converse opens the channel and listens until it breaks or ctx ends.
func (d *Daemon) converse(ctx context.Context, cfg channel.Config) error {
	c, err := channel.Open(cfg, d.log)
	if err != nil {
		return err
	}
	d.turn(func(time.Time) {
		if ctx.Err() == nil {
			_ = c.Set(d.pair.cfg) // peers may have changed since
			d.pair.ready = c
			d.pair.open.Store(c)
			d.step(engine.PairUp{Boot: c.Boot()})
		}
	})
	err = c.Run(ctx, d.told)
	d.pair.open.CompareAndSwap(c, nil)
	d.turn(func(time.Time) {
		if d.pair.ready == c {
			d.pair.ready = nil
		}
	})
	return errors.Join(err, c.Close())
}

// told brings what a peer told.
func (d *Daemon) told(h channel.Heard) {
	d.post(engine.PeerHeard{Peer: h.Peer, Boot: h.Boot, Path: h.Path, Whole: h.Whole, Age: h.Age, State: h.State, Version: h.Version})
	if h.Type != 0 {
		d.votesTold(h)
	}
}
