package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/testenv"
)

// Where Debian puts FRR.
const (
	zebraPath = "/usr/lib/frr/zebra"
	vrrpdPath = "/usr/lib/frr/vrrpd"
	crashDir  = "/var/tmp/frr" // each daemon makes a directory in it
)

// FRR is a running pair of FRR's zebra and vrrpd, which speaks VRRP from virtual
// MACs on macvlan interfaces, multicast only.
type FRR struct {
	Zebra, VRRPD *testenv.Process

	host    *testenv.Host
	dir     string
	routers []router
}

// RequireFRR skips the test where FRR or macvlan is missing; the word in
// VIPD_REQUIRE is frr.
func RequireFRR(t testing.TB) {
	t.Helper()
	testenv.Require(t)
	for _, p := range []string{zebraPath, vrrpdPath, "vtysh"} {
		if _, err := exec.LookPath(p); err != nil {
			testenv.Missing(t, "frr", err)
		}
	}
}

// StartFRR makes the macvlan interfaces that vrrpd wants, with the addresses,
// and starts zebra and vrrpd on the host. The process must be one that
// [testenv.Isolate] has isolated.
func StartFRR(h *testenv.Host, c Config) (*FRR, error) {
	routers, err := c.complete()
	if err != nil {
		return nil, fmt.Errorf("configure frr: %w", err)
	}
	if err := asRoot(); err != nil {
		return nil, fmt.Errorf("start frr: %w", err)
	}
	f := &FRR{host: h, routers: routers}
	if f.dir, err = os.MkdirTemp(h.Dir(), "frr-"); err != nil {
		return nil, fmt.Errorf("start frr: %w", err)
	}
	for _, r := range routers {
		if err := macvlan(h, r); err != nil {
			return nil, fmt.Errorf("make the interface of %s: %w", r.Name, err)
		}
	}
	files := map[string]string{
		"zebra.conf": "", "vrrpd.conf": frrConfig(routers), "vtysh.conf": "no service integrated-vtysh-config\n",
	}
	for name, text := range files {
		if err := os.WriteFile(f.path(name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("configure frr: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if f.Zebra, err = f.daemon(ctx, zebraPath, "zebra"); err != nil {
		return nil, err
	}
	if f.VRRPD, err = f.daemon(ctx, vrrpdPath, "vrrpd"); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *FRR) path(name string) string { return filepath.Join(f.dir, name) }

// daemon starts one of them and waits until it can be asked.
func (f *FRR) daemon(ctx context.Context, program, name string) (*testenv.Process, error) {
	p, err := f.host.Start(exec.Command(program, "-u", "root", "-g", "root", "-f", f.path(name+".conf"),
		"-i", f.path(name+".pid"), "-z", f.path("zserv.api"), "--vty_socket", f.dir, "-A", "127.0.0.1", "-P", "0",
		"--log", "stdout"))
	if err != nil {
		return nil, err
	}
	f.host.OnClose(func() error {
		_ = os.RemoveAll(filepath.Join(crashDir, fmt.Sprintf("%s.%d", name, p.Pid())))
		_ = os.Remove(crashDir) // ours if it is empty now
		return nil
	})
	err = testenv.Until(ctx, func() bool {
		select {
		case <-p.Done():
			return true
		default:
		}
		_, err := os.Stat(f.path(name + ".vty"))
		return err == nil
	})
	select {
	case <-p.Done():
		return nil, fmt.Errorf("start %s: it ended: %s", name, p.Output())
	default:
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// asRoot lets FRR run as root, which its build forbids unless root is a member
// of its group: for this process and its children /etc/group says so. It is how
// FRR runs in a user namespace, where its own user does not exist, and why it
// dies with this process: a daemon that changes its user would not.
var asRoot = sync.OnceValue(func() error {
	if !testenv.Isolated() {
		return errors.New("the process is not isolated (call testenv.Isolate first)")
	}
	const groups = "/etc/group"
	old, err := os.ReadFile(groups)
	if err != nil {
		return err
	}
	var b strings.Builder
	for line := range strings.Lines(string(old)) {
		if !strings.HasPrefix(line, "frrvty:") {
			b.WriteString(line)
		}
	}
	b.WriteString("frrvty:x:0:root\n")
	file, err := os.CreateTemp("", "testenv-group-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // the mount keeps what it needs
	_, err = file.WriteString(b.String())
	if err := errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	if err := unix.Mount(file.Name(), groups, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount a group file: %w", err)
	}
	return nil
})

// macvlan makes the interface by which vrrpd finds its virtual router: the one
// with the virtual MAC (RFC 9568, Section 7.3). Its link-local address must not
// come from that MAC, or both hosts would advertise from one address.
func macvlan(h *testenv.Host, r router) error {
	nl := h.NS.Netlink()
	parent, err := nl.LinkByName(r.Device)
	if err != nil {
		return fmt.Errorf("find %s: %w", r.Device, err)
	}
	family, octet := 4, byte(1)
	if r.is6() {
		family, octet = 6, 2
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("v%d-%d-%s", family, r.VRID, r.Device)
	attrs.ParentIndex = parent.Attrs().Index
	attrs.HardwareAddr = net.HardwareAddr{0, 0, 0x5e, 0, octet, r.VRID}
	link := &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
	if err := nl.LinkAdd(link); err != nil {
		return fmt.Errorf("add macvlan %s: %w", attrs.Name, err)
	}
	if err := nl.LinkSetIP6AddrGenMode(link, addrGenModeNone); err != nil {
		return fmt.Errorf("keep %s from making addresses: %w", attrs.Name, err)
	}
	for _, a := range append(r.addresses, netip.PrefixFrom(linkLocal(parent.Attrs().HardwareAddr, octet, r.VRID), 64)) {
		if err := h.AddAddress(attrs.Name, a); err != nil {
			return err
		}
	}
	if err := nl.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", attrs.Name, err)
	}
	return virtualMACOnly(h, r.Device)
}

// addrGenModeNone is IN6_ADDR_GEN_MODE_NONE.
const addrGenModeNone = 1

// linkLocal is a link-local address that differs by host, family and VRID.
func linkLocal(mac net.HardwareAddr, octet, vrid byte) netip.Addr {
	ip := [16]byte{0: 0xfe, 1: 0x80, 8: octet, 9: vrid}
	copy(ip[10:], mac)
	return netip.AddrFrom16(ip)
}

func frrConfig(routers []router) string {
	var b strings.Builder
	for _, r := range routers {
		fmt.Fprintf(&b, "interface %s\n vrrp %d version %d\n vrrp %d priority %d\n vrrp %d advertisement-interval %d\n",
			r.Device, r.VRID, r.Version, r.VRID, r.Priority, r.VRID, r.Interval.Milliseconds())
		if r.NoPreempt {
			fmt.Fprintf(&b, " no vrrp %d preempt\n", r.VRID)
		}
		word := "ip"
		if r.is6() {
			word = "ipv6"
		}
		for _, a := range r.addresses {
			fmt.Fprintf(&b, " vrrp %d %s %s\n", r.VRID, word, a.Addr())
		}
		b.WriteString("!\n")
	}
	return b.String()
}

// frrStates are FRR's words for the states.
var frrStates = map[string]State{"Initialize": Initialize, "Backup": Backup, "Master": Active}

// frrFamily is what `show vrrp json` tells about one family of a virtual router.
type frrFamily struct {
	Status   string `json:"status"`
	Priority int    `json:"effectivePriority"`
	Stats    struct {
		Sent     int `json:"adverTx"`
		Received int `json:"adverRx"`
	} `json:"stats"`
}

// Status implements [Peer] by `show vrrp json`.
func (f *FRR) Status(ctx context.Context) (map[string]Status, error) {
	text, err := f.host.Run(ctx, "vtysh", "--vty_socket", f.dir, "--config_dir", f.dir, "-d", "vrrpd", "-c", "show vrrp json")
	if err != nil {
		return nil, fmt.Errorf("ask frr: %w", err)
	}
	var all []struct {
		VRID   uint8     `json:"vrid"`
		Device string    `json:"interface"`
		V4     frrFamily `json:"v4"`
		V6     frrFamily `json:"v6"`
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("read the answer of frr: %w", err)
	}
	out := map[string]Status{}
	for _, r := range f.routers {
		for _, a := range all {
			if a.VRID != r.VRID || a.Device != r.Device {
				continue
			}
			s := a.V4
			if r.is6() {
				s = a.V6
			}
			out[r.Name] = Status{State: frrStates[s.Status], Priority: s.Priority, Sent: s.Stats.Sent, Received: s.Stats.Received}
		}
	}
	return out, nil
}

// Stop implements [Peer] by SIGTERM, to vrrpd first.
func (f *FRR) Stop(ctx context.Context) error {
	for _, p := range []*testenv.Process{f.VRRPD, f.Zebra} {
		if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop frr: %w", err)
		}
		if err := p.Wait(ctx); err != nil {
			return fmt.Errorf("stop frr: %w", err)
		}
	}
	return nil
}

// Kill implements [Peer]. The macvlan interfaces keep their addresses.
func (f *FRR) Kill() {
	f.VRRPD.Kill()
	f.Zebra.Kill()
}
