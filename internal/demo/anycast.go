package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/vipd/vipd/testenv"
)

// The network of the play about services.
const (
	serviceName = "resolver"
	torAS       = 65001
	flows       = 256
	heartbeats  = 300 * time.Millisecond // after which the speaker withdraws by itself
	drainWait   = 500 * time.Millisecond
)

var (
	anycastPrefix = netip.MustParsePrefix("198.51.100.53/32")
	torAddress    = netip.MustParsePrefix("192.0.2.1/24")
	outsideTor    = netip.MustParsePrefix("203.0.113.1/24")
	outsideClient = netip.MustParsePrefix("203.0.113.10/24")
)

// anycastConfiguration is that of both hosts, but for their own numbers.
const anycastConfiguration = `[bgp]
local_as  = %d
router_id = "%s"
drain     = { wait = "%s" }

[bgp.neighbor.tor]
address   = "%s"
remote_as = %d

[anycast.%s]
prefixes = ["%s"]
track    = ["service"]

[check.service]
type     = "tcp"
port     = %d
interval = "%s"
rise     = 2
fall     = %d
`

// rack is the lab of the play: the stage, with a ToR and a client beyond it.
type rack struct {
	*stage
	tor *testenv.Host
}

// scene is an act about services: hosts that the ToR must use afterwards, and for
// how long some of the client's flows may be without an answer.
type scene struct {
	name, title string
	do          func(*rack, context.Context) error
	hosts       []string
	limit       time.Duration
	words       string
	show        func(*rack, context.Context) error
}

var bothHosts = []string{"lb1", "lb2"}

var scenes = []scene{
	{
		name: "steady", title: "Both hosts announce the service, and the ToR shares the flows out.",
		do: func(*rack, context.Context) error { return nil }, hosts: bothHosts, words: "nothing happens",
		show: func(r *rack, ctx context.Context) error { return r.command(ctx, r.lb1, "bgp") },
	},
	{
		name: "service-down", title: "The service on lb1 breaks; lb1 itself is well.",
		do:    func(r *rack, _ context.Context) error { return r.lb1.service.stop() },
		hosts: bothHosts[1:], limit: checkFall * checkInterval, words: fmt.Sprintf("%d checks", checkFall),
		show: func(r *rack, ctx context.Context) error { return r.command(ctx, r.lb1, "why", serviceName) },
	},
	{
		name: "service-up", title: "The service is repaired.",
		do: func(r *rack, _ context.Context) error { return r.lb1.service.start() }, hosts: bothHosts, words: "planned",
	},
	{
		name: "drain", title: "An operator drains lb1: graceful-shutdown, a wait, a withdrawal, and only then the address goes.",
		do: func(r *rack, ctx context.Context) error {
			return r.command(ctx, r.lb1, "drain", "--wait", "--reason", "kernel upgrade")
		},
		hosts: bothHosts[1:], words: "planned",
		show: func(r *rack, ctx context.Context) error { return r.command(ctx, r.lb1, "status") },
	},
	{
		name: "undrain", title: "And puts it back.",
		do:    func(r *rack, ctx context.Context) error { return r.command(ctx, r.lb1, "undrain") },
		hosts: bothHosts, words: "planned",
	},
	{
		name: "core-stopped", title: "vipd on lb1 hangs (kill -STOP), then its service breaks, which nobody there can see.",
		do: func(r *rack, _ context.Context) error {
			return errors.Join(r.lb1.agent.Process().Signal(syscall.SIGSTOP), r.lb1.service.stop())
		},
		hosts: bothHosts[1:], limit: heartbeats, words: "3 heartbeats of vipd run",
	},
	{
		name: "core-continued", title: "The service is repaired, and vipd goes on.",
		do: func(r *rack, _ context.Context) error {
			return errors.Join(r.lb1.service.start(), r.lb1.agent.Process().Signal(syscall.SIGCONT))
		},
		hosts: bothHosts, words: "planned",
		show: func(r *rack, ctx context.Context) error {
			return r.command(ctx, r.lb1, "events", "--type", "anycast,bgp_speaker")
		},
	},
	{
		name: "stop", title: "vipd on lb1 is stopped (SIGTERM): it drains first.",
		do:    func(r *rack, _ context.Context) error { return r.lb1.agent.Process().Signal(syscall.SIGTERM) },
		hosts: bothHosts[1:], words: "planned",
	},
}

// RunAnycast plays every scene about services, as [Run] does those about VIPs.
func RunAnycast(ctx context.Context, opts Options) *Document {
	doc := &Document{Schema: schema, Started: time.Now(), Anycast: true, Allowance: allowance, Acts: []Result{}, NotPrevented: notShown}
	r, err := buildRack(opts, doc)
	if err == nil {
		err = r.play(ctx)
	}
	doc.end(ctx, r.stage, err)
	return doc
}

// buildRack makes the network and the services.
func buildRack(opts Options, doc *Document) (*rack, error) {
	r := &rack{stage: &stage{opts: opts, doc: doc}}
	var err error
	if r.lab, err = testenv.NewLab(); err != nil {
		return r, fmt.Errorf("build the lab: %w", err)
	}
	if err := r.wire(); err != nil {
		return r, fmt.Errorf("build the lab: %w", err)
	}
	if r.lb1, err = r.newHost("lb1", "192.0.2.2/24"); err != nil {
		return r, err
	}
	if r.lb2, err = r.newHost("lb2", "192.0.2.3/24"); err != nil {
		return r, err
	}
	return r, errors.Join(via(r.lb1.Host, outsideTor, torAddress.Addr()), via(r.lb2.Host, outsideTor, torAddress.Addr()))
}

// wire makes the ToR, and the client on its other side.
func (r *rack) wire() error {
	outside, err := r.lab.Segment("outside")
	if err != nil {
		return err
	}
	if r.tor, err = r.lab.Host("tor", torAddress.String()); err != nil {
		return err
	}
	if _, err := r.tor.Attach(outside, outsideTor.String()); err != nil {
		return err
	}
	for name, value := range map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.fib_multipath_hash_policy": "1"} {
		if err := r.tor.Sysctl(name, value); err != nil {
			return err
		}
	}
	if r.client, err = r.lab.Outsider("client", outside, outsideClient.String()); err != nil {
		return err
	}
	return via(r.client, anycastPrefix, outsideTor.Addr())
}

// via has a host reach a network through a gateway.
func via(h *testenv.Host, to netip.Prefix, gateway netip.Addr) error {
	dst := &net.IPNet{IP: to.Masked().Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), 32)}
	if err := h.NS.Netlink().RouteAdd(&netlink.Route{Dst: dst, Gw: gateway.AsSlice()}); err != nil {
		return fmt.Errorf("route %s on %s: %w", to, h.Name, err)
	}
	return nil
}

// open starts the ToR and the daemons, and the client once the ToR uses both hosts.
func (r *rack) open(ctx context.Context) error {
	cmd := exec.Command(r.opts.Program, "demo-router", fmt.Sprint(torAS), torAddress.Addr().String())
	for i, h := range []*host{r.lb1, r.lb2} {
		cmd.Args = append(cmd.Args, fmt.Sprintf("192.0.2.%d=%d", i+2, 65101+i))
		config := fmt.Sprintf(anycastConfiguration, 65101+i, fmt.Sprintf("192.0.2.%d", i+2), drainWait, torAddress.Addr(), torAS,
			serviceName, anycastPrefix, servicePort, checkInterval, checkFall)
		var err error
		if h.agent, err = h.Vipd(r.opts.Program, config); err != nil {
			return err
		}
	}
	if _, err := r.tor.Start(cmd); err != nil {
		return err
	}
	if err := r.uses(ctx, bothHosts); err != nil {
		return err
	}
	var err error
	r.probes, err = r.client.ProbeFlows(netip.AddrPortFrom(anycastPrefix.Addr(), servicePort), probeRate, flows)
	if err != nil {
		return err
	}
	r.holder = strings.Join(bothHosts, ", ")
	return errors.Join(r.answered(ctx, "lb1", 0), r.answered(ctx, "lb2", 0))
}

// play plays the scenes, one after the other, while the client's probes run.
func (r *rack) play(ctx context.Context) error {
	r.say("Two hosts, lb1 and lb2, below a router (ToR) that shares traffic out between them,")
	r.say("and a client above it: network namespaces that end with this command. Both hosts")
	r.say("announce %s by BGP. The client sends %d probes a second over %d", anycastPrefix, probeRate, flows)
	r.say("flows. The ToR is part of vipd, made from the library that vipd speaks BGP with.")
	if err := r.open(ctx); err != nil {
		return err
	}
	for i, s := range scenes {
		if i > 0 {
			pause(ctx, r.opts.Pace)
		}
		r.title(fmt.Sprintf("%d. %s", i+1, s.title))
		if err := r.playScene(ctx, s); err != nil {
			r.played[i].result.Problem = err.Error()
			return errors.Join(fmt.Errorf("scene %d, %s: %w", i+1, s.name, err), r.finish())
		}
	}
	return r.finish()
}

// playScene plays one of them and tells what it cost.
func (r *rack) playScene(ctx context.Context, s scene) error {
	begun := time.Now()
	res := &Result{Name: s.name, Title: s.title, From: r.holder, To: strings.Join(s.hosts, ", "), Limit: s.limit, Expected: s.words}
	r.played = append(r.played, played{begun: begun, result: res})
	if err := s.do(r, ctx); err != nil {
		return err
	}
	if err := r.uses(ctx, s.hosts); err != nil {
		return err
	}
	if res.From != res.To {
		res.Moved = time.Since(begun)
	}
	for _, name := range s.hosts {
		if err := r.answered(ctx, name, settle); err != nil {
			return err
		}
	}
	r.holder = res.To
	res.measureFlows(r.probes.Report().Since(begun.Add(-inFlight)))
	r.tell(res)
	if s.show == nil {
		return nil
	}
	return s.show(r, ctx)
}

// uses waits until the kernel of the ToR forwards to these hosts.
func (r *rack) uses(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var hops []string
	err := testenv.Until(ctx, func() bool {
		hops = r.nextHops()
		return slices.Equal(hops, names)
	})
	if err != nil {
		return fmt.Errorf("wait for the ToR to use %s: it uses %s", strings.Join(names, ", "), strings.Join(hops, ", "))
	}
	return nil
}

// nextHops names the hosts that the kernel of the ToR forwards to, sorted.
func (r *rack) nextHops() (names []string) {
	dst := &net.IPNet{IP: anycastPrefix.Addr().AsSlice(), Mask: net.CIDRMask(32, 32)}
	list, err := r.tor.NS.Netlink().RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Dst: dst}, netlink.RT_FILTER_DST)
	if err != nil {
		return nil
	}
	known := map[string]string{"192.0.2.2": "lb1", "192.0.2.3": "lb2"}
	for _, route := range list {
		if route.Gw != nil {
			names = append(names, known[route.Gw.String()])
		}
		for _, hop := range route.MultiPath {
			names = append(names, known[hop.Gw.String()])
		}
	}
	slices.Sort(names)
	return names
}

// measureFlows takes the figures of a scene: while one host fails, the probes of
// its flows are lost between those that the other one answers, so an outage is
// from the first lost probe to the last.
func (r *Result) measureFlows(report *testenv.Report) {
	r.measure(report)
	r.flows = true
	var first, last time.Time
	for _, p := range report.Probes() {
		if !p.Answered.IsZero() {
			continue
		}
		if first.IsZero() {
			first = p.Sent
		}
		last = p.Sent
	}
	if r.Outage = 0; r.Lost > 0 {
		r.Outage = last.Sub(first) + time.Second/probeRate
	}
}
