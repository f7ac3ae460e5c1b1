package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// The network of a rack, and who is in it.
const (
	torAddress  = "198.18.1.1"
	hostAddress = "198.18.1.2"
	torAS       = 65001
	hostAS      = 65101
	bfdEvery    = 50 * time.Millisecond
	pollEvery   = 100 * time.Millisecond // of all that is polled; two failures in a row count
	holdTime    = 3 * time.Second        // the least that BGP has
	bfdSettled  = 1500 * time.Millisecond
)

// anycast contains all prefixes that are announced; the first one is that of a
// service.
var anycast = netip.MustParsePrefix("198.19.0.0/16")

// hostRoutes lists the first n host routes of anycast.
func hostRoutes(n int) []netip.Prefix {
	list := make([]netip.Prefix, n)
	for i := range list {
		list[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)}), 32)
	}
	return list
}

// rival is a program that announces, how it is configured, and its column in the
// tables.
type rival struct {
	name  string
	table *table
	start func(*rack) (speaker, error)

	count   int    // prefixes
	watch   string // how the service is watched: byEvent, byPoll; "" = not at all
	bfd     bool
	device  string        // where vipd puts the addresses, "" = nowhere, as all others do
	listens bool          // vipd takes connections of the ToR, as BIRD does
	calm    time.Duration // how long all must have been well before a run, 0 = settled
}

// speaker is a running rival.
type speaker interface {
	processes() []*testenv.Process // that were started
	output() string
	checker() (pid int, err error) // the process that decides
	talker() (pid int, err error)  // the process that speaks
}

// torKind is a program that a ToR runs.
type torKind struct {
	name  string
	start func(*testenv.Host, peers.ToRConfig) (peers.ToR, error)
}

var (
	torFRR  = torKind{"FRR", func(h *testenv.Host, c peers.ToRConfig) (peers.ToR, error) { return peers.StartFRRToR(h, c) }}
	torBIRD = torKind{"BIRD", func(h *testenv.Host, c peers.ToRConfig) (peers.ToR, error) { return peers.StartBIRDToR(h, c) }}
)

// rack is a ToR and a host on one switch, and a rival on the host.
type rack struct {
	rival
	kind    torKind
	number  int // different for each, as all of them see all processes
	lab     *testenv.Lab
	torHost *testenv.Host
	host    *testenv.Host
	tor     peers.ToR
	fib     *fib
	agent   speaker
	service *testenv.Process
}

// newRack builds a rack in which all prefixes are in the ToR's kernel.
func (b *bench) newRack(ctx context.Context, kind torKind, r rival) (*rack, error) {
	k, err := b.emptyRack(kind, r)
	if err != nil {
		return nil, err
	}
	if err := k.launch(); err != nil {
		return nil, errors.Join(err, k.close())
	}
	if err := k.ready(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", err, tail(k.agent.output())), k.close())
	}
	return k, nil
}

// emptyRack builds one without the rival.
func (b *bench) emptyRack(kind torKind, r rival) (*rack, error) {
	b.racks++
	k := &rack{rival: r, kind: kind, number: b.racks}
	var err error
	if k.lab, err = testenv.NewLab(); err != nil {
		return nil, err
	}
	if err := k.build(); err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

func (k *rack) build() error {
	var err error
	if k.torHost, err = k.lab.Host("tor", torAddress+"/24"); err != nil {
		return err
	}
	if k.host, err = k.lab.Host(fmt.Sprintf("host%d", k.number), hostAddress+"/24"); err != nil {
		return err
	}
	n := peers.ToRNeighbor{Address: hostAddress, AS: hostAS, HoldTime: holdTime}
	if k.bfd {
		n.BFD = bfdEvery
	}
	if k.tor, err = k.kind.start(k.torHost, peers.ToRConfig{AS: torAS, RouterID: torAddress, Neighbors: []peers.ToRNeighbor{n}}); err != nil {
		return err
	}
	k.fib, err = watchFIB(k.torHost, anycast)
	return err
}

// launch starts the service, if it is watched, and the rival.
func (k *rack) launch() error {
	if k.watch != "" {
		if err := k.serve(); err != nil {
			return err
		}
	}
	var err error
	k.agent, err = k.start(k)
	return err
}

// serve starts the service of the host.
func (k *rack) serve() (err error) {
	k.service, err = startService(k.host)
	return err
}

// ready returns when the ToR forwards all prefixes to the host, and has done so
// for a while: with BFD longer, as FRR ends a new session when it takes the
// beginning of BFD for its end.
func (k *rack) ready(ctx context.Context) error {
	calm := max(settled, k.calm)
	if k.bfd {
		calm = bfdSettled
	}
	if err := k.fib.calm(ctx, k.count, calm); err != nil {
		return err
	}
	if k.bfd {
		within, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		err := testenv.Until(within, func() bool {
			up, err := k.tor.BFDUp(within, hostAddress)
			return err == nil && up
		})
		if err != nil {
			return fmt.Errorf("wait for BFD: %w", err)
		}
	}
	return nil
}

// add adds a figure in milliseconds to the column of the rival.
func (k *rack) add(label string, from, to time.Time) {
	k.table.add(label, "ms", k.name, ms(to.Sub(from)))
}

func (k *rack) close() error {
	if k.fib != nil {
		k.fib.close()
	}
	return k.lab.Close()
}

// visit is one run in a rack; part says when in a polling interval its event
// falls, 0 to 1.
type visit func(ctx context.Context, k *rack, part float64) error

// visits has rivals take turns at what is measured with one kind of ToR, so many
// times. A rack in which a run failed is replaced.
func (b *bench) visits(ctx context.Context, runs int, kind torKind, rivals []rival, once visit) error {
	racks := make([]*rack, len(rivals))
	defer func() {
		for _, k := range racks {
			if k != nil {
				_ = k.close()
			}
		}
	}()
	failed := func(r rival, err error) {
		b.say("%s, %s: %v", r.table.title, r.name, err)
		r.table.failed(r.name, err)
	}
	for i, r := range rivals {
		var err error
		if racks[i], err = b.newRack(ctx, kind, r); err != nil {
			failed(r, err)
		}
	}
	for run := range runs {
		for i, k := range racks {
			if k == nil {
				continue // it cannot be started
			}
			err := k.ready(ctx)
			if err == nil {
				err = once(ctx, k, (float64(run)+0.5)/float64(runs))
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil {
				continue
			}
			failed(k.rival, err)
			_ = k.close()
			if racks[i], err = b.newRack(ctx, kind, k.rival); err != nil {
				failed(k.rival, err)
			}
		}
	}
	return nil
}
