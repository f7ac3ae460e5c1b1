package testenv

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// maxDev is the longest name that the kernel takes for an interface.
const maxDev = unix.IFNAMSIZ - 1

// Lab is a small network: hosts, each a network namespace, joined by one or
// more switches.
//
//	client ──┐            eth0 of each host is a veth; its other end is a port
//	lb1 ─────┤ lan        of the bridge, in a namespace that is only the switch
//	lb2 ─────┘
//
// A Lab must be built in a process that [Isolate] has put into namespaces of
// its own, or by root. It ends with [Lab.Close], and with the process.
type Lab struct {
	sw  *NS
	dir string

	mu       sync.Mutex
	segments map[string]*Segment
	hosts    []*Host
	closers  []func() error // run by Close, last first
	faults   *faults
}

// Segment is one switch of a [Lab]: a Linux bridge that learns addresses and
// floods, without spanning tree, forward delay or multicast snooping.
type Segment struct {
	Name   string
	bridge *netlink.Bridge
}

// NewLab makes a lab without hosts.
func NewLab() (*Lab, error) {
	sw, err := NewNS()
	if err != nil {
		return nil, fmt.Errorf("make the switch: %w", err)
	}
	l := &Lab{sw: sw, segments: map[string]*Segment{}}
	l.closers = append(l.closers, sw.Close)
	if l.dir, err = os.MkdirTemp("", "testenv-"); err != nil {
		return nil, errors.Join(fmt.Errorf("make the lab's directory: %w", err), l.Close())
	}
	l.closers = append(l.closers, func() error { return os.RemoveAll(l.dir) })
	quiet(sw)
	if l.faults, err = newFaults(sw); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// TestLab makes a lab for a test: the test is skipped where [Require] says so,
// and the lab is closed at its end.
func TestLab(t testing.TB, programs ...string) *Lab {
	t.Helper()
	Require(t, programs...)
	l, err := NewLab()
	if err != nil {
		t.Fatalf("build the lab: %v", err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	return l
}

// Segment returns the switch of that name and makes it first if there is none.
// [Lab.Host] uses the one called "lan". A name has 1 to 15 bytes.
func (l *Lab) Segment(name string) (*Segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.segments[name]; s != nil {
		return s, nil
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	snoop := false
	br := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snoop}
	nl := l.sw.Netlink()
	if err := nl.LinkAdd(br); err != nil {
		return nil, fmt.Errorf("add bridge %s: %w", name, err)
	}
	if err := nl.LinkSetUp(br); err != nil {
		return nil, fmt.Errorf("set bridge %s up: %w", name, err)
	}
	s := &Segment{Name: name, bridge: br}
	l.segments[name] = s
	return s, nil
}

// Host adds a host and attaches its eth0, with the given addresses in the form
// "192.0.2.1/24", to the segment "lan". Without addresses eth0 has only its
// IPv6 link-local one.
func (l *Lab) Host(name string, prefixes ...string) (*Host, error) {
	lan, err := l.Segment("lan")
	if err != nil {
		return nil, err
	}
	return l.Outsider(name, lan, prefixes...)
}

// Outsider adds a host that is attached to another segment only.
func (l *Lab) Outsider(name string, s *Segment, prefixes ...string) (*Host, error) {
	h, err := l.newHost(name)
	if err != nil {
		return nil, fmt.Errorf("make host %s: %w", name, err)
	}
	if _, err := h.Attach(s, prefixes...); err != nil {
		return nil, err
	}
	return h, nil
}

// Bare adds a host without interfaces: see [Host.Attach] and [Host.AttachAs].
func (l *Lab) Bare(name string) (*Host, error) {
	h, err := l.newHost(name)
	if err != nil {
		return nil, fmt.Errorf("make host %s: %w", name, err)
	}
	return h, nil
}

func (l *Lab) newHost(name string) (*Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.hosts {
		if h.Name == name {
			return nil, os.ErrExist
		}
	}
	ns, err := NewNS()
	if err != nil {
		return nil, err
	}
	l.closers = append(l.closers, ns.Close)
	h := &Host{Name: name, NS: ns, lab: l, index: len(l.hosts) + 1, dir: filepath.Join(l.dir, fmt.Sprintf("h%d", len(l.hosts)+1))}
	if err := os.Mkdir(h.dir, 0o755); err != nil {
		return nil, err
	}
	_ = h.Sysctl("net.ipv6.conf.all.accept_dad", "0") // where /proc/sys is read-only, Attach waits for DAD instead
	_ = h.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	l.hosts = append(l.hosts, h)
	return h, nil
}

// Hosts lists the hosts in the order in which they were added.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Host(nil), l.hosts...)
}

// Close ends everything that was started in the lab (probes, taps, processes
// with their process groups) and gives its namespaces up. A second call does
// nothing.
func (l *Lab) Close() error {
	l.mu.Lock()
	closers := l.closers
	l.closers = nil
	l.mu.Unlock()
	var errs []error
	for i := len(closers) - 1; i >= 0; i-- {
		errs = append(errs, closers[i]())
	}
	return errors.Join(errs...)
}

// onClose has Close call fn before what was registered earlier.
func (l *Lab) onClose(fn func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closers = append(l.closers, fn)
}

// quiet keeps the switch from talking on its own: no IPv6 on bridges and ports.
func quiet(sw *NS) {
	for _, which := range []string{"all", "default"} {
		_ = writeSysctl(sw, "net.ipv6.conf."+which+".disable_ipv6", "1") // only noise where it cannot be set
	}
}

func parsePrefixes(prefixes []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			return nil, fmt.Errorf("parse address %q: %w", p, err)
		}
		out = append(out, prefix)
	}
	return out, nil
}
