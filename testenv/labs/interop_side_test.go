package labs

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// routerName is the one virtual router of every interop test, in the words of
// all daemons.
const routerName = "web"

// side is a VRRP daemon on one host of a pair: vipd or another one.
type side struct {
	peers.Peer // the running daemon
	host       *testenv.Host
	router     peers.Router
	start      func() (peers.Peer, error) // runs the daemon, again after it ended
	log        func() string
	frr        bool // a Backup keeps the address, on an interface that is down
	vmac       bool
}

// kind makes a side that is not started yet.
type kind func(*pair, *testenv.Host, peers.Router) *side

// vipdSide is vipd with the configuration that r describes, and more lines of
// it.
func vipdSide(more string) kind {
	return func(p *pair, h *testenv.Host, r peers.Router) *side {
		s := &side{host: h, router: r, vmac: r.VMAC, log: func() string { return "" }} // the agent logs by itself
		var a *agent
		s.start = func() (peers.Peer, error) {
			if a == nil {
				a = p.vipd(h, vipdConfig(r)+more)
			} else {
				a.start()
			}
			return vipdPeer{a}, nil
		}
		return s
	}
}

// vipdConfig is r as vipd takes part in it.
func vipdConfig(r peers.Router) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[vip.%s]\ninterface = \"eth0\"\nvrid = %d\nversion = %d\npriority = %d\nadvert_interval = %q\naddresses = [%s]\n",
		r.Name, r.VRID, r.Version, r.Priority, r.Interval, quoted(r.Addresses))
	if r.Priority != 255 { // the owner always preempts
		fmt.Fprintf(&b, "preempt = %t\n", !r.NoPreempt)
	}
	if r.UnicastSource != "" {
		fmt.Fprintf(&b, "unicast_source = %q\nunicast_peers = [%s]\n", r.UnicastSource, quoted(r.UnicastPeers))
	}
	if r.VMAC {
		b.WriteString("vmac = true\n")
	}
	return b.String()
}

func quoted(list []string) string { return `"` + strings.Join(list, `", "`) + `"` }

// vipdPeer lets vipd be asked as the other daemons are.
type vipdPeer struct{ a *agent }

// Status is what `vipd status` says. A state whose addresses have not followed
// yet does not count.
func (v vipdPeer) Status(context.Context) (map[string]peers.Status, error) {
	all, err := v.a.status()
	out := map[string]peers.Status{}
	for _, s := range all.VIPs {
		state := peers.State(s.State)
		if s.Held != (state == peers.Active) {
			state += " but the addresses lag"
		}
		out[s.Name] = peers.Status{State: state, Priority: s.Priority.Effective}
	}
	return out, err
}

func (v vipdPeer) Stop(ctx context.Context) error {
	v.a.signal(syscall.SIGTERM)
	return v.a.proc.Wait(ctx)
}

func (v vipdPeer) Kill() { v.a.proc.Kill() }

// keepalivedSide is Debian's keepalived.
func keepalivedSide(_ *pair, h *testenv.Host, r peers.Router) *side {
	s := &side{host: h, router: r, vmac: r.VMAC}
	s.start = func() (peers.Peer, error) {
		k, err := peers.StartKeepalived(h, peers.Config{Routers: []peers.Router{r}})
		if err != nil {
			return nil, err
		}
		s.log = k.Process.Output
		return k, nil
	}
	return s
}

// keepalivedVMACSide is keepalived with a virtual MAC. It sends from that MAC and
// listens behind it: with `vmac_xmit_base` it would listen on the interface
// below, where its own macvlan, in private mode, lets no advert from the same
// virtual MAC through.
func keepalivedVMACSide(p *pair, h *testenv.Host, r peers.Router) *side {
	p.t.Helper()
	for name, value := range map[string]string{"arp_ignore": "1", "arp_announce": "2"} {
		if err := h.Sysctl("net/ipv4/conf/eth0/"+name, value); err != nil {
			p.t.Fatal(err)
		}
	}
	r.VMAC, r.Extra = false, "  use_vmac"
	s := keepalivedSide(p, h, r)
	s.vmac = true
	return s
}

// frrSide is FRR's vrrpd. It takes the address of the interface that carries the
// virtual MAC as its source, so a virtual link-local address is left out.
func frrSide(_ *pair, h *testenv.Host, r peers.Router) *side {
	var global []string
	for _, a := range r.Addresses {
		if !strings.HasPrefix(a, "fe80:") {
			global = append(global, a)
		}
	}
	r.Addresses = global
	s := &side{host: h, router: r, vmac: true, frr: true}
	s.start = func() (peers.Peer, error) {
		f, err := peers.StartFRR(h, peers.Config{Routers: []peers.Router{r}})
		if err != nil {
			return nil, err
		}
		s.log = func() string { return f.VRRPD.Output() + f.Zebra.Output() }
		return f, nil
	}
	return s
}

// describe is what the side says about itself, for the message of a failure.
func (s *side) describe() string {
	if s.Peer == nil {
		return s.host.Name + " never ran\n"
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	all, err := s.Status(ctx)
	if err != nil {
		all = nil
	}
	log := s.log()
	return fmt.Sprintf("%s says %+v, %v\n  addresses %v\n%s", s.host.Name, all[routerName], err, s.host.Addresses(""), log[max(0, len(log)-4000):])
}

// forget removes what a killed daemon left on its host, as a boot does.
func (s *side) forget(t *testing.T) {
	t.Helper()
	links, err := s.host.NS.Netlink().LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range links {
		if name := k.Attrs().Name; k.Type() == "macvlan" {
			if err := s.host.DeleteLink(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, held := range s.host.Addresses("eth0") {
		for _, a := range s.router.Addresses {
			if held.Addr() != addressOf(t, a) {
				continue
			}
			if err := s.host.DeleteAddress("eth0", held); err != nil {
				t.Fatal(err)
			}
		}
	}
}
