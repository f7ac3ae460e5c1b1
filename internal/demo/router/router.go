// Package router is the top-of-rack router of vipd demo: it speaks BGP by the same
// library as vipd, in a process of its own, and writes what it hears into the
// routing table of the kernel, with all of the best next hops of a prefix.
//
// It is no router for anything else: it knows two kinds of preference (RFC 8326
// and RFC 4271, Section 9.1.2.2: the shorter AS_PATH, then the lower MED), and
// tells nobody anything.
package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	wire "github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Config says who the router is.
type Config struct {
	AS        uint32
	ID        netip.Addr
	Neighbors map[netip.Addr]uint32 // AS by address; they connect
}

// router is a running one.
type router struct {
	mu    sync.Mutex // of the callbacks of the library
	paths map[netip.Prefix]map[netip.Addr]path
	fail  func(error)
}

// path is how a neighbor reaches a prefix.
type path struct {
	length   int // of AS_PATH
	med      uint32
	draining bool // GRACEFUL_SHUTDOWN
}

// Run routes until ctx ends. The error says that BGP or the kernel does not work.
func Run(ctx context.Context, c Config, log *slog.Logger) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &router{paths: map[netip.Prefix]map[netip.Addr]path{}, fail: cancel}
	var level slog.LevelVar
	s := server.NewBgpServer(server.LoggerOption(log, &level))
	go s.Serve()
	defer s.Stop()
	err := s.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{Asn: c.AS, RouterId: c.ID.String(), ListenPort: 179}})
	if err != nil {
		return fmt.Errorf("start BGP: %w", err)
	}
	err = s.WatchEvent(ctx, server.WatchEventMessageCallbacks{
		OnPathUpdate: func(paths []*apiutil.Path, _ time.Time) { r.heard(paths) },
		OnPeerUpdate: func(e *apiutil.WatchEventMessage_PeerEvent, _ time.Time) {
			if e.Type == apiutil.PEER_EVENT_STATE && e.Peer.State.SessionState != wire.BGP_FSM_ESTABLISHED {
				r.lost(e.Peer.State.NeighborAddress)
			}
		},
	}, server.WatchUpdate(false, "", ""), server.WatchPeer())
	if err != nil {
		return fmt.Errorf("watch BGP: %w", err)
	}
	for _, address := range slices.SortedFunc(maps.Keys(c.Neighbors), netip.Addr.Compare) {
		err := s.AddPeer(ctx, &api.AddPeerRequest{Peer: &api.Peer{
			Conf:      &api.PeerConf{NeighborAddress: address.String(), PeerAsn: c.Neighbors[address]},
			Transport: &api.Transport{PassiveMode: true},
			Timers:    &api.Timers{Config: &api.TimersConfig{HoldTime: 9, KeepaliveInterval: 3, IdleHoldTimeAfterReset: 1}},
		}})
		if err != nil {
			return fmt.Errorf("add neighbor %s: %w", address, err)
		}
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// heard takes what a neighbor announced or withdrew.
func (r *router) heard(paths []*apiutil.Path) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range paths {
		prefix, err := netip.ParsePrefix(p.Nlri.String())
		if err != nil || !prefix.Addr().Is4() {
			continue
		}
		if r.paths[prefix] == nil {
			r.paths[prefix] = map[netip.Addr]path{}
		}
		if p.Withdrawal {
			delete(r.paths[prefix], p.PeerAddress)
		} else {
			r.paths[prefix][p.PeerAddress] = pathOf(p)
		}
		r.install(prefix)
	}
}

// lost forgets what a neighbor announced whose session ended.
func (r *router) lost(neighbor netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for prefix, paths := range r.paths {
		if _, had := paths[neighbor]; had {
			delete(paths, neighbor)
			r.install(prefix)
		}
	}
}

func pathOf(p *apiutil.Path) (out path) {
	for _, attribute := range p.Attrs {
		switch a := attribute.(type) {
		case *wire.PathAttributeAsPath:
			for _, part := range a.Value {
				out.length += part.ASLen()
			}
		case *wire.PathAttributeMultiExitDisc:
			out.med = a.Value
		case *wire.PathAttributeCommunities:
			out.draining = slices.Contains(a.Value, uint32(wire.COMMUNITY_PLANNED_SHUT))
		}
	}
	return out
}

// best returns the neighbors with the best paths, sorted.
func best(paths map[netip.Addr]path) []netip.Addr {
	compare := func(a, b path) int {
		switch {
		case a.draining != b.draining && a.draining, a.draining == b.draining && a.length > b.length,
			a.draining == b.draining && a.length == b.length && a.med > b.med:
			return 1
		case a == b:
			return 0
		}
		return -1
	}
	var list []netip.Addr
	for _, n := range slices.SortedFunc(maps.Keys(paths), netip.Addr.Compare) {
		switch {
		case len(list) == 0 || compare(paths[n], paths[list[0]]) < 0:
			list = []netip.Addr{n}
		case paths[n] == paths[list[0]]:
			list = append(list, n)
		}
	}
	return list
}

// install writes the route to a prefix into the kernel: at once, from one state to
// the next.
func (r *router) install(prefix netip.Prefix) {
	route := &netlink.Route{Dst: &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), 32)}}
	hops := best(r.paths[prefix])
	if len(hops) == 0 {
		if err := netlink.RouteDel(route); err != nil && !errors.Is(err, unix.ESRCH) {
			r.fail(fmt.Errorf("remove the route to %s: %w", prefix, err))
		}
		return
	}
	for _, hop := range hops {
		route.MultiPath = append(route.MultiPath, &netlink.NexthopInfo{Gw: hop.AsSlice()})
	}
	if err := netlink.RouteReplace(route); err != nil {
		r.fail(fmt.Errorf("set the route to %s: %w", prefix, err))
	}
}
