package speaker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	wire "github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"

	"github.com/vipd/vipd/pkg/bgp"
)

// library is a running GoBGP. It imports nothing, and has a routing table for
// each neighbor: a VRF that only this neighbor takes routes from. Its methods are
// for one goroutine, and none waits for the network.
type library struct {
	server *server.BgpServer
	door   chan<- net.Conn // takes connections as if it had accepted them; nil = it takes none
	watch  context.CancelFunc
}

// peerEvent is what the library says about a session.
type peerEvent struct {
	address  netip.Addr
	state    bgp.SessionState
	remoteAS uint32
	reason   string
	families []bgp.Family // that the neighbor takes, from OpenConfirm on
	graceful bool         // it keeps routes over a restart of ours
	limit    bool         // it was closed because of too many prefixes
}

// startLibrary starts GoBGP without neighbors. What happens on sessions is given to
// event, from another goroutine, in order.
func startLibrary(c bgp.Config, log *slog.Logger, event func(peerEvent)) (*library, error) {
	var level slog.LevelVar
	s := server.NewBgpServer(server.LoggerOption(log, &level))
	doorOf(s) // before it looks
	go s.Serve()
	ctx, cancel := context.WithCancel(context.Background())
	l := &library{server: s, watch: cancel}
	if err := l.start(ctx, c, event); err != nil {
		cancel()
		s.Stop()
		return nil, fmt.Errorf("start BGP: %w", err)
	}
	l.door = doorOf(s) // its own, if it listens
	return l, nil
}

func (l *library) start(ctx context.Context, c bgp.Config, event func(peerEvent)) error {
	port := int32(c.ListenPort)
	if port == 0 {
		port = -1 // the library's 0 is 179
	}
	err := l.server.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn: c.LocalAS, RouterId: c.RouterID.String(), ListenPort: port,
	}})
	if err != nil {
		return err
	}
	if err := l.rejectAll(ctx); err != nil {
		return fmt.Errorf("refuse routes of neighbors: %w", err)
	}
	return l.server.WatchEvent(ctx, server.WatchEventMessageCallbacks{
		OnPeerUpdate: func(e *apiutil.WatchEventMessage_PeerEvent, _ time.Time) {
			if e.Type == apiutil.PEER_EVENT_STATE {
				event(peerEventOf(e))
			}
		},
	}, server.WatchPeer())
}

// rejectAll accepts the routes that we make, and none else (RFC 8212).
func (l *library) rejectAll(ctx context.Context) error {
	ours := &api.Policy{Name: "ours", Statements: []*api.Statement{{
		Name:       "ours",
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT},
	}}}
	if err := l.server.AddPolicy(ctx, &api.AddPolicyRequest{Policy: ours}); err != nil {
		return err
	}
	return l.server.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Name: "global", Direction: api.PolicyDirection_POLICY_DIRECTION_IMPORT,
		Policies:      []*api.Policy{{Name: "ours"}},
		DefaultAction: api.RouteAction_ROUTE_ACTION_REJECT,
	}})
}

var sessionStates = map[wire.FSMState]bgp.SessionState{
	wire.BGP_FSM_IDLE: bgp.Idle, wire.BGP_FSM_CONNECT: bgp.Connect, wire.BGP_FSM_ACTIVE: bgp.ActiveOpen,
	wire.BGP_FSM_OPENSENT: bgp.OpenSent, wire.BGP_FSM_OPENCONFIRM: bgp.OpenConfirm, wire.BGP_FSM_ESTABLISHED: bgp.Established,
}

func peerEventOf(e *apiutil.WatchEventMessage_PeerEvent) peerEvent {
	out := peerEvent{
		address: e.Peer.State.NeighborAddress, state: sessionStates[e.Peer.State.SessionState], remoteAS: e.Peer.State.PeerASN,
		reason: e.Peer.State.DisconnectMessage, limit: e.Peer.State.AdminState == api.PeerState_ADMIN_STATE_PFX_CT,
	}
	multi := false
	for _, c := range e.Peer.State.RemoteCap {
		if _, ok := c.(*wire.CapGracefulRestart); ok {
			out.graceful = true
		}
		if m, ok := c.(*wire.CapMultiProtocol); ok {
			multi = true
			switch m.CapValue {
			case wire.RF_IPv4_UC:
				out.families = append(out.families, bgp.IPv4)
			case wire.RF_IPv6_UC:
				out.families = append(out.families, bgp.IPv6)
			}
		}
	}
	if !multi {
		out.families = []bgp.Family{bgp.IPv4} // RFC 4760, Section 8: without the capability there is no other
	}
	return out
}

// stop ends all sessions: with a Cease, or without a word to neighbors that keep
// the routes over a restart (RFC 4724).
func (l *library) stop(keep bool) {
	_ = l.server.StopBgp(context.Background(), &api.StopBgpRequest{AllowGracefulRestart: keep}) // it only fails when it is not running
	l.watch()
}

// addTable makes the routing table of a neighbor.
func (l *library) addTable(name string, id uint32) error {
	rd, err := apiutil.MarshalRD(wire.NewRouteDistinguisherTwoOctetAS(0, id))
	if err != nil {
		return fmt.Errorf("make the table of %s: %w", name, err)
	}
	rt, err := apiutil.MarshalRTs([]wire.ExtendedCommunityInterface{
		wire.NewTwoOctetAsSpecificExtended(wire.EC_SUBTYPE_ROUTE_TARGET, 0, id, true),
	})
	if err != nil {
		return fmt.Errorf("make the table of %s: %w", name, err)
	}
	err = l.server.AddVrf(context.Background(), &api.AddVrfRequest{Vrf: &api.Vrf{Name: name, Id: id, Rd: rd, ImportRt: rt, ExportRt: rt}})
	if err != nil {
		return fmt.Errorf("make the table of %s: %w", name, err)
	}
	return nil
}

// deleteTable deletes it, with its routes. The neighbor must be deleted before.
func (l *library) deleteTable(name string) error {
	if err := l.server.DeleteVrf(context.Background(), &api.DeleteVrfRequest{Name: name}); err != nil {
		return fmt.Errorf("delete the table of %s: %w", name, err)
	}
	return nil
}

// deletePeer forgets a neighbor. An established session ends with a Cease.
func (l *library) deletePeer(address netip.Addr) error {
	if err := l.server.DeletePeer(context.Background(), &api.DeletePeerRequest{Address: address.String()}); err != nil {
		return fmt.Errorf("delete neighbor %s: %w", address, err)
	}
	return nil
}

// shutdown ends the session with a text for the neighbor (RFC 9003), and keeps it
// down until the neighbor is deleted.
func (l *library) shutdown(address netip.Addr, text string) error {
	return l.server.DisablePeer(context.Background(), &api.DisablePeerRequest{Address: address.String(), Communication: text})
}

// addPeer adds a neighbor, which the library then connects to, or waits for.
// restarting says that this host forwards what it announced before (RFC 4724).
func (l *library) addPeer(c bgp.Config, table string, n bgp.Neighbor, address netip.Addr, restarting bool) error {
	p := &api.Peer{
		Conf: &api.PeerConf{NeighborAddress: address.String(), PeerAsn: n.RemoteAS, AuthPassword: n.Password, Vrf: table},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime: seconds(n.HoldTime), KeepaliveInterval: seconds(n.Keepalive), ConnectRetry: seconds(n.ConnectRetry), IdleHoldTimeAfterReset: 1,
		}},
		Transport: &api.Transport{PassiveMode: n.Passive},
	}
	if n.Source.IsValid() {
		p.Transport.LocalAddress = n.Source.String()
	}
	switch {
	case n.TTLSecurity > 0:
		p.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: uint32(256 - min(n.TTLSecurity, 255))}
	case n.Multihop > 1:
		p.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: uint32(min(n.Multihop, 255))}
	}
	graceful := c.GracefulRestart > 0
	if graceful {
		p.GracefulRestart = &api.GracefulRestart{
			Enabled: true, RestartTime: uint32(min(seconds(c.GracefulRestart), 4095)), DeferralTime: deferralTime, LocalRestarting: restarting,
		}
	}
	for _, f := range n.Families {
		family := &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
		if f == bgp.IPv6 {
			family.Afi = api.Family_AFI_IP6
		}
		a := &api.AfiSafi{
			Config:            &api.AfiSafiConfig{Family: family, Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: graceful}},
		}
		if n.MaxPrefixes > 0 {
			a.PrefixLimits = &api.PrefixLimit{Family: family, MaxPrefixes: n.MaxPrefixes}
		}
		p.AfiSafis = append(p.AfiSafis, a)
	}
	if err := l.server.AddPeer(context.Background(), &api.AddPeerRequest{Peer: p}); err != nil {
		return fmt.Errorf("add neighbor %s: %w", address, err)
	}
	return nil
}

// deferralTime is for how many seconds a restarted speaker waits for the End-of-RIB
// of the neighbors before it tells them its routes (Selection_Deferral_Timer).
// Nothing that they say is waited for here, but the library has no other way to
// say that routes were kept; so the least that it can.
const deferralTime = 1

// seconds rounds up to whole ones, which is all that the library knows.
func seconds(d time.Duration) uint64 { return uint64(math.Ceil(max(d, 0).Seconds())) }

// counts are of a session.
type counts struct {
	sent     uint64 // messages that were written
	received uint64 // prefixes that the neighbor announces
}

// counts counts what went over each session.
func (l *library) counts() map[netip.Addr]counts {
	out := map[netip.Addr]counts{}
	err := l.server.ListPeer(context.Background(), &api.ListPeerRequest{}, func(p *api.Peer) {
		if a, err := netip.ParseAddr(p.GetState().GetNeighborAddress()); err == nil {
			c := counts{sent: p.GetState().GetMessages().GetSent().GetTotal()}
			for _, f := range p.GetAfiSafis() {
				c.received += f.GetState().GetReceived()
			}
			out[a] = c
		}
	})
	if err != nil {
		return nil // it stops
	}
	return out
}

// install carries a change out: all sessions that are established have it in
// their queues when it returns. self6 is the next hop of IPv6 routes that name
// none, on a session over IPv4.
func (l *library) install(table string, n bgp.Neighbor, localAS uint32, c bgp.Change, self6 netip.Addr) error {
	var errs []error
	var add, del []*apiutil.Path
	for _, p := range c.Withdraw {
		path, err := withdrawal(p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		del = append(del, path)
	}
	for _, r := range c.Announce {
		path, err := pathOf(r, n, localAS, self6)
		if err != nil {
			errs = append(errs, fmt.Errorf("announce %s: %w", r.Prefix, err))
			if path, err := withdrawal(r.Prefix); err == nil {
				del = append(del, path) // an older route to it is wrong as well
			}
			continue
		}
		add = append(add, path)
	}
	if len(del) > 0 {
		if err := l.server.DeletePath(apiutil.DeletePathRequest{VRFID: table, Paths: del}); err != nil {
			errs = append(errs, fmt.Errorf("withdraw from %s: %w", table, err))
		}
	}
	if len(add) > 0 {
		if _, err := l.server.AddPath(apiutil.AddPathRequest{VRFID: table, Paths: add}); err != nil {
			errs = append(errs, fmt.Errorf("announce to %s: %w", table, err))
		}
	}
	return errors.Join(errs...)
}
