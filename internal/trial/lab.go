package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/testenv"
)

// Options says how a trial is run.
type Options struct {
	Program    string    // path of vipd
	WithChecks bool      // checks stay as they are
	Out        io.Writer // a line for each thing that is begun
}

const (
	servicePort = 8080
	rateOfAll   = 1000 // probes a second, for all VIPs
	leastRate   = 50   // for one
	mostVIPs    = 20   // that a client asks
)

// trial is a lab that was built for two files.
type trial struct {
	opts   Options
	doc    *Document
	files  [2]*File
	plan   *plan
	lab    *testenv.Lab
	client *testenv.Host
	hosts  [2]*host
	probes map[string]*testenv.Prober // by VIP
	holder map[string]string          // who answers the client, by VIP
}

// host is one host of the pair.
type host struct {
	*testenv.Host
	file  *File
	agent *testenv.Agent
}

// build makes the network, the services, and the files of the daemons.
func (t *trial) build() error {
	var err error
	if t.lab, err = testenv.NewLab(); err != nil {
		return fmt.Errorf("build the lab: %w", err)
	}
	for i, f := range t.files {
		if t.hosts[i], err = t.newHost(i, f); err != nil {
			return fmt.Errorf("build host %s: %w", f.Name, err)
		}
	}
	for i := range t.hosts {
		if err := t.configure(i); err != nil {
			return err
		}
	}
	if err := t.newClient(); err != nil {
		return fmt.Errorf("build the client: %w", err)
	}
	return nil
}

func (t *trial) newHost(i int, f *File) (*host, error) {
	th, err := t.lab.Bare(f.Name)
	if err != nil {
		return nil, err
	}
	for _, x := range t.plan.ports[i] {
		s, err := t.lab.Segment(x.segment)
		if err != nil {
			return nil, err
		}
		if err := th.AttachAs(x.name, s, texts(x.prefixes)...); err != nil {
			return nil, err
		}
	}
	if _, err := th.Respond(servicePort); err != nil {
		return nil, err
	}
	return &host{Host: th, file: f}, nil
}

func texts(list []netip.Prefix) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = p.String()
	}
	return out
}

// configure writes the files of a host.
func (t *trial) configure(i int) error {
	h, other := t.hosts[i], t.hosts[1-i]
	programs := filepath.Join(h.Dir(), "programs")
	if err := os.Mkdir(programs, 0o755); err != nil {
		return err
	}
	// The lab's temporary directory runs no programs. This one ends with the namespace.
	if err := unix.Mount("tmpfs", programs, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=64k"); err != nil {
		return fmt.Errorf("make a place for fence agents: %w", err)
	}
	h.OnClose(func() error { return unix.Unmount(programs, unix.MNT_DETACH) })
	agent := filepath.Join(programs, "cut-"+other.Name)
	if err := os.WriteFile(agent, []byte(fmt.Sprintf(agentScript, other.Dir())), 0o700); err != nil {
		return fmt.Errorf("write a fence agent: %w", err)
	}
	a := h.file.adapt(h.Dir(), t.opts.WithChecks, map[string]string{other.Name: agent})
	t.doc.Notes = append(t.doc.Notes, a.notes...)
	if err := a.files(h.Dir()); err != nil {
		return err
	}
	h.agent = h.VipdLater(t.opts.Program)
	if err := os.WriteFile(h.agent.Config, []byte(a.text), 0o600); err != nil {
		return fmt.Errorf("write the configuration of %s: %w", h.Name, err)
	}
	return nil
}

// agentScript is a fence agent: it asks the lab by a file in the directory of the
// host that is cut off, and another one says that it is.
const agentScript = `#!/bin/sh
action=status
while read -r line; do
	case "$line" in action=*) action="${line#action=}" ;; esac
done
cd %q || exit 1
case "$action" in
off | reboot)
	: >off-asked
	tries=0
	while [ ! -e is-off ]; do
		tries=$((tries + 1))
		[ "$tries" -gt 100 ] && exit 1
		/bin/sleep 0.05
	done
	;;
status | monitor) [ -e is-off ] && exit 2 ;;
esac
exit 0
`

// newClient makes the client, in every network.
func (t *trial) newClient() error {
	var err error
	if t.client, err = t.lab.Bare("lab-client"); err != nil {
		return err
	}
	for _, segment := range t.plan.segments {
		s, err := t.lab.Segment(segment)
		if err != nil {
			return err
		}
		dev, err := t.client.Attach(s, texts(t.plan.client[segment])...)
		if err != nil {
			return err
		}
		for _, a := range t.plan.routes[segment] {
			if err := route(t.client, dev, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// route has a host look for an address directly on one of its networks.
func route(h *testenv.Host, dev string, a netip.Addr) error {
	nl := h.NS.Netlink()
	link, err := nl.LinkByName(dev)
	if err != nil {
		return fmt.Errorf("find %s: %w", dev, err)
	}
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: netlink.NewIPNet(a.AsSlice()), Scope: netlink.SCOPE_LINK}
	if err := nl.RouteAdd(r); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("route %s to %s: %w", a, dev, err)
	}
	return nil
}

// watch begins to ask every VIP.
func (t *trial) watch() error {
	rate := max(leastRate, rateOfAll/len(t.plan.vips))
	for i, name := range t.plan.vips {
		if i == mostVIPs {
			t.doc.Notes = append(t.doc.Notes, fmt.Sprintf("a client asks the first %d of %d vips", mostVIPs, len(t.plan.vips)))
			t.plan.vips = t.plan.vips[:mostVIPs]
			return nil
		}
		p, err := t.client.Probe(netip.AddrPortFrom(target(t.files[0].cfg.Engine.VIPs[name]), servicePort), rate)
		if err != nil {
			return fmt.Errorf("ask %s: %w", name, err)
		}
		t.probes[name] = p
	}
	return nil
}

// status asks the daemon of a host.
func (h *host) status(ctx context.Context) (control.StatusDocument, error) {
	return control.Client{Socket: h.agent.Socket}.Status(ctx)
}

// runs reports whether the daemon of the host runs.
func (h *host) runs() bool {
	p := h.agent.Process()
	if p == nil {
		return false
	}
	select {
	case <-p.Done():
		return false
	default:
		return true
	}
}

// powerOff is what a fence does, and a scenario.
func (t *trial) powerOff(h *host) error {
	if err := t.lab.PortDown(h.Host); err != nil {
		return err
	}
	h.agent.Process().Kill()
	return nil
}

// powerOn plugs a host in again, and starts its daemon if it does not run.
func (t *trial) powerOn(h *host) error {
	for _, name := range []string{"off-asked", "is-off"} {
		if err := os.Remove(filepath.Join(h.Dir(), name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if !h.runs() {
		if err := h.agent.Start(); err != nil {
			return err
		}
	}
	return t.lab.PortUp(h.Host)
}

// fences cuts hosts off that agents ask it to, until ctx ends.
func (t *trial) fences(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, h := range t.hosts {
			if os.Remove(filepath.Join(h.Dir(), "off-asked")) != nil {
				continue
			}
			if t.powerOff(h) == nil {
				_ = os.WriteFile(filepath.Join(h.Dir(), "is-off"), nil, 0o600) // the agent waits for it, and gives up
			}
		}
	}
}

// holders tells who says that it holds a VIP.
func (t *trial) holders(ctx context.Context) map[string][]string {
	found := map[string][]string{}
	for _, h := range t.hosts {
		doc, err := h.status(ctx)
		if err != nil {
			continue
		}
		for _, v := range doc.VIPs {
			if v.State == engine.Active && v.Held {
				found[v.Name] = append(found[v.Name], h.Name)
			}
		}
	}
	return found
}
