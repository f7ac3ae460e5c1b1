package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// errNone says that a daemon has no such function.
var errNone = errors.New("has no such function")

// spec is what a daemon is configured with: vips virtual routers with VRIDs from
// 1 up, one address each.
type spec struct {
	priority int
	interval time.Duration
	vips     int
	more     bool       // one more virtual router, of another VRID and address
	hotplug  bool       // the interface will be deleted and made again
	watch    string     // how the service of the host is watched: byEvent, byPoll; "" = not at all
	checks   *checkKind // many checks, nil = none
	guard    *guarded   // for the chapter about the guard, nil = as a user would begin
}

// The lab is 198.18.0.0/16, a network for benchmarks (RFC 2544): virtual
// addresses are 198.18.0.VRID, hosts 198.18.1.1 and up.
var network = netip.MustParsePrefix("198.18.0.0/24")

// address is the address of the virtual router with a VRID.
func address(vrid int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 0, byte(vrid)}) }

// served is the address that clients use.
var served = address(1)

// moreVRID is the VRID of the virtual router that an unrelated reload adds.
const moreVRID = 200

// vrids lists the virtual routers of a spec.
func (s spec) vrids() []int {
	var list []int
	for vrid := 1; vrid <= s.vips; vrid++ {
		list = append(list, vrid)
	}
	if s.more {
		list = append(list, moreVRID)
	}
	return list
}

// activeDown is Active_Down_Interval of the Backup (RFC 9568, Section 6.1),
// whose priority is 100 in every lab.
func (s spec) activeDown() time.Duration { return 3*s.interval + s.interval*156/256 }

// daemon is a program to compare.
type daemon struct {
	name  string
	start func(*testenv.Host, spec) (running, error)
}

// running is a daemon on a host.
type running interface {
	stop(context.Context) error
	reload(spec) error
	signal(syscall.Signal) error // to all of its processes
	gone() <-chan struct{}       // closed when it has ended
	pids() []int                 // of the first processes of its groups
	command(ctx context.Context, words ...string) error
	output() string
}

func contestants(vipd string) []daemon {
	return []daemon{
		{"vipd", func(h *testenv.Host, s spec) (running, error) { return startVipd(vipd, h, s) }},
		{"keepalived", startKeepalived},
		{"frr", startFRR},
	}
}

// vipd is a running vipd.
type vipd struct {
	binary, config, socket string
	host                   *testenv.Host
	proc                   *testenv.Process
}

func startVipd(binary string, h *testenv.Host, s spec) (running, error) {
	v := &vipd{binary: binary, host: h, config: filepath.Join(h.Dir(), "vipd.toml"), socket: filepath.Join(h.Dir(), "vipd.sock")}
	if err := v.write(s); err != nil {
		return nil, err
	}
	var err error
	v.proc, err = h.Start(exec.Command(binary, "run", "--config", v.config, "--socket", v.socket, "--state-dir", h.Dir()))
	return v, err
}

func (v *vipd) write(s spec) error {
	var b strings.Builder
	fmt.Fprintf(&b, "[node]\nname = %q\n", v.host.Name)
	b.WriteString(s.vipdCheck(v.host))
	talk, err := s.guard.vipd(v.host)
	if err != nil {
		return err
	}
	b.WriteString(talk)
	for _, vrid := range s.vrids() {
		fmt.Fprintf(&b, "[vip.v%d]\ninterface = \"eth0\"\nvrid = %d\npriority = %d\nadvert_interval = \"%s\"\naddresses = [\"%s\"]\n%s",
			vrid, vrid, s.priority, s.interval, strings.Join(s.addresses(vrid), "\", \""), s.guard.vip())
		if s.watch != "" {
			b.WriteString("track = [\"service\"]\n")
		}
		if s.checks != nil {
			fmt.Fprintf(&b, "track = [\"%s\"]\n", strings.Join(s.checks.names(), "\", \""))
		}
	}
	return os.WriteFile(v.config, []byte(b.String()), 0o600)
}

func (v *vipd) stop(ctx context.Context) error {
	if err := v.proc.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return v.proc.Wait(ctx)
}

func (v *vipd) reload(s spec) error {
	if err := v.write(s); err != nil {
		return err
	}
	return v.proc.Signal(syscall.SIGHUP)
}

func (v *vipd) signal(sig syscall.Signal) error { return v.proc.SignalGroup(sig) }

func (v *vipd) pids() []int           { return []int{v.proc.Pid()} }
func (v *vipd) gone() <-chan struct{} { return v.proc.Done() }
func (v *vipd) output() string        { return v.proc.Output() }

func (v *vipd) command(ctx context.Context, words ...string) error {
	_, err := v.host.Run(ctx, v.binary, append([]string{"--socket", v.socket}, words...)...)
	return err
}

// config is the spec in the words of the peers.
func (s spec) config(h *testenv.Host) peers.Config {
	var c peers.Config
	file, router := s.keepalivedCheck(h)
	for _, vrid := range s.vrids() {
		c.Routers = append(c.Routers, peers.Router{
			VRID: uint8(vrid), Priority: uint8(s.priority), Interval: s.interval, Addresses: s.addresses(vrid), Extra: router,
		})
		if g := s.guard; g != nil {
			r := &c.Routers[len(c.Routers)-1]
			r.VMAC, r.NoPreempt = g.vmac, g.stays
		}
	}
	c.Extra = file
	if s.hotplug {
		c.Extra += "global_defs {\n  dynamic_interfaces\n}"
	}
	return c
}

type keepalived struct {
	*peers.Keepalived
	host *testenv.Host
}

func startKeepalived(h *testenv.Host, s spec) (running, error) {
	k, err := peers.StartKeepalived(h, s.config(h))
	return keepalived{k, h}, err
}

func (k keepalived) stop(ctx context.Context) error               { return k.Stop(ctx) }
func (k keepalived) reload(s spec) error                          { return k.Reload(s.config(k.host)) }
func (k keepalived) signal(sig syscall.Signal) error              { return k.Process.SignalGroup(sig) }
func (k keepalived) gone() <-chan struct{}                        { return k.Process.Done() }
func (k keepalived) pids() []int                                  { return []int{k.Process.Pid()} }
func (k keepalived) output() string                               { return k.Process.Output() }
func (k keepalived) command(_ context.Context, _ ...string) error { return errNone }

// frr is a running vrrpd with its zebra.
type frr struct {
	*peers.FRR
	host *testenv.Host
	spec spec
}

func startFRR(h *testenv.Host, s spec) (running, error) {
	if s.watch != "" || s.guard != nil {
		return nil, errNone
	}
	c := s.config(h)
	c.Extra = ""
	f, err := peers.StartFRR(h, c)
	return frr{f, h, s}, err
}

// stop also removes the macvlan interfaces, which would keep their addresses.
func (f frr) stop(ctx context.Context) error {
	if err := f.Stop(ctx); err != nil {
		return err
	}
	for _, vrid := range f.spec.vrids() {
		if err := f.host.DeleteLink(fmt.Sprintf("v4-%d-eth0", vrid)); err != nil {
			return err
		}
	}
	return nil
}

func (f frr) reload(spec) error                            { return errNone }
func (f frr) signal(syscall.Signal) error                  { return errNone }
func (f frr) gone() <-chan struct{}                        { return f.VRRPD.Done() }
func (f frr) pids() []int                                  { return []int{f.Zebra.Pid(), f.VRRPD.Pid()} }
func (f frr) output() string                               { return f.VRRPD.Output() }
func (f frr) command(_ context.Context, _ ...string) error { return errNone }
