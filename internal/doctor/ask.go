package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/arp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sync/errgroup"

	"github.com/vipd/vipd/pkg/doctor"
)

// ProbeTime is how long answers to [Probe] are waited for.
const ProbeTime = time.Second

// Probe asks by ARP who answers for the IPv4 addresses of the VIPs, with the
// source 0.0.0.0 that changes nobody's table (RFC 5227, 2.1.1). It takes
// [ProbeTime].
func Probe(ctx context.Context, n doctor.Needs) (map[netip.Addr][]string, error) {
	found := map[netip.Addr][]string{}
	var mu sync.Mutex
	var all errgroup.Group
	for _, name := range interfaces(n) {
		var ask []netip.Addr
		for _, v := range n.VIPs {
			for _, a := range v.Addresses {
				if v.Interface == name && a.Addr().Is4() {
					ask = append(ask, a.Addr())
				}
			}
		}
		all.Go(func() error {
			err := probe(ctx, name, ask, func(a netip.Addr, mac string) {
				mu.Lock()
				defer mu.Unlock()
				if !slices.Contains(found[a], mac) {
					found[a] = append(found[a], mac)
				}
			})
			if err != nil {
				return fmt.Errorf("probe on %s: %w", name, err)
			}
			return nil
		})
	}
	err := all.Wait()
	for _, macs := range found {
		slices.Sort(macs)
	}
	return found, err
}

// probe asks on one interface.
func probe(ctx context.Context, name string, ask []netip.Addr, heard func(netip.Addr, string)) error {
	dev, err := net.InterfaceByName(name)
	if err != nil || len(ask) == 0 {
		return err
	}
	c, err := arp.Dial(dev)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	end := time.Now().Add(ProbeTime)
	if limit, ok := ctx.Deadline(); ok && limit.Before(end) {
		end = limit
	}
	if err := c.SetDeadline(end); err != nil {
		return err
	}
	nobody, everybody := net.HardwareAddr{0, 0, 0, 0, 0, 0}, net.HardwareAddr{255, 255, 255, 255, 255, 255}
	for _, a := range ask {
		p, err := arp.NewPacket(arp.OperationRequest, dev.HardwareAddr, netip.IPv4Unspecified(), nobody, a)
		if err != nil {
			return err
		}
		if err := c.WriteTo(p, everybody); err != nil {
			return err
		}
	}
	for {
		p, _, err := c.Read()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		case p.Operation == arp.OperationReply && slices.Contains(ask, p.SenderIP) && p.SenderHardwareAddr.String() != dev.HardwareAddr.String():
			heard(p.SenderIP, p.SenderHardwareAddr.String())
		}
	}
}

// ListenTime is how long [Listen] takes: three advert intervals of the slowest
// VIP.
func ListenTime(n doctor.Needs) time.Duration {
	slowest := time.Second
	for _, v := range n.VIPs {
		slowest = max(slowest, v.Interval)
	}
	return 3 * slowest
}

// Listen hears the adverts on the interfaces of the VIPs, for [ListenTime].
func Listen(ctx context.Context, n doctor.Needs) ([]doctor.Advert, error) {
	ctx, cancel := context.WithTimeout(ctx, ListenTime(n))
	defer cancel()
	var mu sync.Mutex
	var heard []doctor.Advert
	add := func(a doctor.Advert) {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(heard, a) {
			heard = append(heard, a)
		}
	}
	var all errgroup.Group
	for _, name := range interfaces(n) {
		dev, err := net.InterfaceByName(name)
		if err != nil {
			continue // is a finding of its own
		}
		all.Go(func() error { return listen(ctx, dev, "ip4:112", "0.0.0.0", add) })
		all.Go(func() error { return listen(ctx, dev, "ip6:112", "::", add) })
	}
	err := all.Wait()
	return heard, err
}

// The groups of VRRP (RFC 9568, 5.1.1.2 and 5.1.2.2).
var (
	group4 = &net.IPAddr{IP: net.IPv4(224, 0, 0, 18)}
	group6 = &net.IPAddr{IP: net.ParseIP("ff02::12")}
)

// listen hears adverts on one interface, until ctx ends.
func listen(ctx context.Context, dev *net.Interface, network, address string, add func(doctor.Advert)) error {
	c, err := net.ListenPacket(network, address)
	if err != nil {
		return fmt.Errorf("listen for adverts: %w", err)
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	read, err := reader(c, dev, network == "ip4:112")
	if err != nil {
		return fmt.Errorf("listen for adverts on %s: %w", dev.Name, err)
	}
	buf := make([]byte, 1<<16)
	for {
		size, index, from, err := read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return fmt.Errorf("hear adverts on %s: %w", dev.Name, err)
		case index != dev.Index || size < 8 || buf[0]&0x0f != 1: // type 1: ADVERTISEMENT
			continue
		}
		if source, ok := from.(*net.IPAddr); ok {
			if ip, ok := netip.AddrFromSlice(source.IP); ok {
				add(doctor.Advert{Interface: dev.Name, Source: ip.Unmap(), VRID: buf[1], Priority: buf[2]})
			}
		}
	}
}

// reader joins the group on an interface, and returns what reads with the number
// of the interface.
func reader(c net.PacketConn, dev *net.Interface, v4 bool) (func([]byte) (int, int, net.Addr, error), error) {
	if v4 {
		p := ipv4.NewPacketConn(c)
		err := errors.Join(p.JoinGroup(dev, group4), p.SetControlMessage(ipv4.FlagInterface, true))
		return func(b []byte) (int, int, net.Addr, error) {
			size, cm, from, err := p.ReadFrom(b)
			if cm == nil {
				return size, 0, from, err
			}
			return size, cm.IfIndex, from, err
		}, err
	}
	p := ipv6.NewPacketConn(c)
	err := errors.Join(p.JoinGroup(dev, group6), p.SetControlMessage(ipv6.FlagInterface, true))
	return func(b []byte) (int, int, net.Addr, error) {
		size, cm, from, err := p.ReadFrom(b)
		if cm == nil {
			return size, 0, from, err
		}
		return size, cm.IfIndex, from, err
	}, err
}
