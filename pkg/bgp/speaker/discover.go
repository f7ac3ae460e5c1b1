package speaker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
)

// How often this host says that it is there (RFC 4861, Section 6.2.1, in the
// pace that routers use for unnumbered sessions), and at first.
const (
	advertiseEvery = 10 * time.Second
	advertiseFirst = time.Second
	firstAdverts   = 3
)

// discover looks for the router at the other end of an unnumbered neighbor's
// interface, and lets it find this host, until the returned function is called.
func (s *speaker) discover(n *neighbor) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	found := func(address netip.Addr, err error) {
		select {
		case s.found <- discovery{n.name, address, err}:
		case <-ctx.Done():
		}
	}
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			found(netip.Addr{}, discoverOn(ctx, n.Interface, func(a netip.Addr) { found(a, nil) }))
			select {
			case <-time.After(advertiseFirst): // the interface may come, or come back
			case <-ctx.Done():
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// discoverOn sends and hears router advertisements (RFC 4861) on an interface. The
// ones it sends make nobody use this host as a router: their lifetime is 0. They
// are how the other end learns our link-local address. It returns when the context
// ends, or with the error that ended it.
func discoverOn(ctx context.Context, name string, found func(netip.Addr)) error {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	conn, self, err := ndp.Listen(link, ndp.LinkLocal)
	if err != nil {
		return fmt.Errorf("listen for router advertisements on %s: %w", name, err)
	}
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	filter.Accept(ipv6.ICMPTypeRouterSolicitation)
	if err := errors.Join(conn.SetICMPFilter(&filter), conn.SetControlMessage(ipv6.FlagHopLimit, true), conn.JoinGroup(netip.IPv6LinkLocalAllRouters())); err != nil {
		return errors.Join(fmt.Errorf("listen for router advertisements on %s: %w", name, err), conn.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) }) // wakes the read below
	defer stop()
	err = converse(ctx, conn, self, link, found)
	return errors.Join(err, conn.Close())
}

func converse(ctx context.Context, conn *ndp.Conn, self netip.Addr, link *net.Interface, found func(netip.Addr)) error {
	advert := &ndp.RouterAdvertisement{Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: link.HardwareAddr}}}
	solicit := &ndp.RouterSolicitation{Options: advert.Options}
	sent, next := 0, time.Now()
	for ctx.Err() == nil {
		if now := time.Now(); !now.Before(next) {
			if err := conn.WriteTo(advert, nil, netip.IPv6LinkLocalAllNodes()); err != nil {
				return fmt.Errorf("send a router advertisement on %s: %w", link.Name, err)
			}
			pause := advertiseEvery
			if sent++; sent <= firstAdverts {
				pause = advertiseFirst
				if err := conn.WriteTo(solicit, nil, netip.IPv6LinkLocalAllRouters()); err != nil {
					return fmt.Errorf("send a router solicitation on %s: %w", link.Name, err)
				}
			}
			next = now.Add(pause)
		}
		if err := conn.SetReadDeadline(next); err != nil {
			return fmt.Errorf("listen on %s: %w", link.Name, err)
		}
		if ctx.Err() != nil {
			return nil // it ended before the deadline was set
		}
		m, control, from, err := conn.ReadFrom()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case err != nil && isNet(err):
			return fmt.Errorf("listen on %s: %w", link.Name, err)
		case err != nil || control == nil || control.HopLimit != ndp.HopLimit || from.WithZone("") == self.WithZone(""):
			continue // not believed (RFC 4861, Sections 6.1.1 and 6.1.2), or our own
		}
		switch m.(type) {
		case *ndp.RouterAdvertisement:
			if from.IsLinkLocalUnicast() {
				found(from.WithZone(link.Name))
			}
		case *ndp.RouterSolicitation:
			next = time.Now() // answer at once
		}
	}
	return nil
}

// isNet tells an error of the socket from one of a packet.
func isNet(err error) bool {
	var e *net.OpError
	return errors.As(err, &e)
}
