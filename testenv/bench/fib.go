package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/testenv"
)

// fibBuffer holds the events of some ten thousand routes, in bytes.
const fibBuffer = 32 << 20

// fib follows the routes of a host's kernel to the prefixes within a network. What
// the kernel says is timed when it is read, by the clock of everything else.
type fib struct {
	host   *testenv.Host
	within netip.Prefix
	sock   *nl.NetlinkSocket
	wg     sync.WaitGroup

	mu    sync.Mutex
	have  map[netip.Prefix]bool
	at    time.Time     // since when there are as many as there are
	first time.Time     // the first change of a wave
	empty time.Time     // since when there is none, zero = there is one
	gap   time.Duration // how long there was none, when there was one again the last time
	lost  error         // events that were not read in time
	over  bool
}

// watchFIB follows the routes of a host that has none of them yet.
func watchFIB(h *testenv.Host, within netip.Prefix) (*fib, error) {
	f := &fib{host: h, within: within, have: map[netip.Prefix]bool{}}
	err := h.NS.Do(func() (err error) {
		f.sock, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("watch the routes of %s: %w", h.Name, err)
	}
	wait := unix.NsecToTimeval(lookEvery.Nanoseconds())
	err = errors.Join(f.sock.SetReceiveTimeout(&wait), f.sock.SetReceiveBufferSize(fibBuffer, true))
	if err != nil {
		f.sock.Close()
		return nil, fmt.Errorf("watch the routes of %s: %w", h.Name, err)
	}
	f.wg.Go(f.run)
	return f, nil
}

func (f *fib) run() {
	for {
		msgs, _, err := f.sock.Receive()
		at := time.Now()
		f.mu.Lock()
		if errors.Is(err, unix.ENOBUFS) {
			f.lost = errors.New("the kernel told of more routes than could be read")
		}
		for _, m := range msgs {
			if err == nil {
				f.note(at, m.Header.Type, m.Data)
			}
		}
		over := f.over
		f.mu.Unlock()
		if over {
			return
		}
	}
}

// note takes one event of the kernel.
func (f *fib) note(at time.Time, kind uint16, data []byte) {
	if len(data) < unix.SizeofRtMsg || data[7] != unix.RTN_UNICAST { // rtm_type
		return
	}
	attrs, err := nl.ParseRouteAttr(data[unix.SizeofRtMsg:])
	if err != nil {
		return
	}
	for _, a := range attrs {
		ip, ok := netip.AddrFromSlice(a.Value)
		if a.Attr.Type != unix.RTA_DST || !ok || !f.within.Contains(ip) {
			continue
		}
		before := len(f.have)
		p := netip.PrefixFrom(ip, int(data[1])) // rtm_dst_len
		if kind == unix.RTM_NEWROUTE {
			f.have[p] = true
		} else {
			delete(f.have, p)
		}
		if len(f.have) != before {
			f.at = at
			switch {
			case len(f.have) == 0:
				f.empty = at
			case before == 0 && !f.empty.IsZero():
				f.gap, f.empty = at.Sub(f.empty), time.Time{}
			}
			if f.first.IsZero() {
				f.first = at
			}
		}
	}
}

// wait returns when there are n routes, and since when; not before the given time.
func (f *fib) wait(ctx context.Context, n int, after time.Time) (time.Time, error) {
	return f.waitFor(ctx, patience, n, after)
}

// calm returns when there have been n routes for so long.
func (f *fib) calm(ctx context.Context, n int, long time.Duration) error {
	for {
		at, err := f.wait(ctx, n, time.Time{})
		if err != nil || time.Since(at) >= long {
			return err
		}
		if err := window(ctx, time.Until(at.Add(long))); err != nil {
			return err
		}
	}
}

// waitFor is wait with a bound of its own.
func (f *fib) waitFor(ctx context.Context, bound time.Duration, n int, after time.Time) (at time.Time, err error) {
	within, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	have, lost := 0, error(nil)
	err = testenv.Until(within, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		have, at, lost = len(f.have), f.at, f.lost
		return lost != nil || have == n && !at.Before(after)
	})
	switch {
	case lost != nil:
		return at, lost
	case err != nil:
		return at, fmt.Errorf("wait for %d routes in the kernel of %s, which has %d: %w", n, f.host.Name, have, err)
	}
	return at, nil
}

// wave returns when there are n routes, and between which times they came or went:
// from the first change after the last wave to the one that made them n.
func (f *fib) wave(ctx context.Context, n int) (first, last time.Time, err error) {
	if last, err = f.wait(ctx, n, time.Time{}); err != nil {
		return first, last, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	first, f.first = f.first, time.Time{}
	return first, last, nil
}

// gaps returns for how long there was no route the last time, and forgets it.
func (f *fib) gaps() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	gap := f.gap
	f.gap = 0
	return gap
}

// deadEnd returns when the kernel has no way to an address any more. It asks, as
// the kernel does not tell of routes that go with a carrier.
func (f *fib) deadEnd(ctx context.Context, ip netip.Addr) (time.Time, error) {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for {
		if _, err := f.host.NS.Netlink().RouteGet(ip.AsSlice()); err != nil {
			return time.Now(), nil //nolint:nilerr // that is the answer
		}
		select {
		case <-tick.C:
		case <-within.Done():
			return time.Time{}, fmt.Errorf("wait for %s to be out of reach of %s: %w", ip, f.host.Name, within.Err())
		}
	}
}

// forget drops what is known, for routes that went without a word.
func (f *fib) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.have)
	f.at = time.Now()
}

func (f *fib) close() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	f.wg.Wait()
	f.sock.Close()
}
