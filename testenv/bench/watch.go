package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/testenv"
)

// lookEvery is how soon a blocked watch sees that it shall end.
const lookEvery = 20 * time.Millisecond

// watch counts the virtual addresses of a host as the kernel tells about them,
// which costs less than asking for them.
type watch struct {
	sock *nl.NetlinkSocket
	wg   sync.WaitGroup

	mu   sync.Mutex
	have map[netip.Addr]bool
	full time.Time // when there were as many as wanted
	want int
	over bool
}

// watchAddresses starts to count on a host that has none of them yet, up to
// want.
func watchAddresses(h *testenv.Host, want int) (*watch, error) {
	w := &watch{have: map[netip.Addr]bool{}, want: want}
	err := h.NS.Do(func() error {
		var err error
		w.sock, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_IFADDR)
		return err
	})
	if err != nil {
		return nil, err
	}
	wait := unix.NsecToTimeval(lookEvery.Nanoseconds())
	if err := w.sock.SetReceiveTimeout(&wait); err != nil {
		w.sock.Close()
		return nil, err
	}
	w.wg.Go(w.run)
	return w, nil
}

func (w *watch) run() {
	for {
		msgs, _, err := w.sock.Receive()
		at := time.Now()
		w.mu.Lock()
		over := w.over
		for _, m := range msgs {
			if err == nil {
				w.note(at, m.Header.Type, m.Data)
			}
		}
		w.mu.Unlock()
		if over {
			return
		}
	}
}

// note takes one event of the kernel.
func (w *watch) note(at time.Time, kind uint16, data []byte) {
	if len(data) < unix.SizeofIfAddrmsg {
		return
	}
	attrs, err := nl.ParseRouteAttr(data[unix.SizeofIfAddrmsg:])
	if err != nil {
		return
	}
	for _, a := range attrs {
		ip, ok := netip.AddrFromSlice(a.Value)
		if !ok || a.Attr.Type != unix.IFA_LOCAL || !network.Contains(ip) {
			continue
		}
		w.have[ip] = kind == unix.RTM_NEWADDR
		if kind == unix.RTM_DELADDR {
			delete(w.have, ip)
			w.full = time.Time{}
		}
		if len(w.have) == w.want && w.full.IsZero() {
			w.full = at
		}
	}
}

// wait returns when all of the addresses were there.
func (w *watch) wait(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var at time.Time
	err := testenv.Until(ctx, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		at = w.full
		return !at.IsZero()
	})
	return at, err
}

func (w *watch) close() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.wg.Wait()
	w.sock.Close()
}
