package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

const (
	bgpdPath = "/usr/lib/frr/bgpd"
	bfddPath = "/usr/lib/frr/bfdd"
)

// FRRToR is FRR's zebra, bgpd and bfdd.
type FRRToR struct {
	frr       FRR
	processes []*testenv.Process
}

// RequireToRs skips the test where a program of FRR or BIRD is missing; the words
// in VIPD_REQUIRE are frr and bird.
func RequireToRs(t testing.TB) {
	t.Helper()
	testenv.Require(t)
	for word, programs := range map[string][]string{"frr": {zebraPath, bgpdPath, bfddPath, "vtysh"}, "bird": {birdPath, birdcPath}} {
		for _, p := range programs {
			if _, err := exec.LookPath(p); err != nil {
				testenv.Missing(t, word, err)
			}
		}
	}
}

// StartFRRToR starts FRR as a router on the host. The process must be one that
// [testenv.Isolate] has isolated.
func StartFRRToR(h *testenv.Host, c ToRConfig) (*FRRToR, error) {
	if err := asRoot(); err != nil {
		return nil, fmt.Errorf("start frr: %w", err)
	}
	t := &FRRToR{frr: FRR{host: h}}
	var err error
	if t.frr.dir, err = os.MkdirTemp(h.Dir(), "frr-"); err != nil {
		return nil, fmt.Errorf("start frr: %w", err)
	}
	bfdd, bgpd := frrToRConfig(c)
	files := map[string]string{"zebra.conf": "", "bfdd.conf": bfdd, "bgpd.conf": bgpd, "vtysh.conf": "no service integrated-vtysh-config\n"}
	for name, text := range files {
		if err := os.WriteFile(t.frr.path(name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("configure frr: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, d := range []struct{ path, name string }{{zebraPath, "zebra"}, {bfddPath, "bfdd"}, {bgpdPath, "bgpd"}} {
		p, err := t.frr.daemon(ctx, d.path, d.name)
		if err != nil {
			return nil, err
		}
		t.processes = append(t.processes, p)
	}
	return t, nil
}

func frrToRConfig(c ToRConfig) (bfdd, bgpd string) {
	var b, f strings.Builder
	fmt.Fprintf(&b, "router bgp %d\n bgp router-id %s\n no bgp ebgp-requires-policy\n no bgp network import-check\n"+
		" bgp bestpath as-path multipath-relax\n no bgp default ipv4-unicast\n", c.AS, c.RouterID)
	if c.GracefulRestart {
		b.WriteString(" bgp graceful-restart\n")
	}
	f.WriteString("bfd\n")
	for _, n := range c.Neighbors {
		name := n.name()
		if n.Interface != "" {
			fmt.Fprintf(&b, " neighbor %s interface remote-as %d\n", name, n.AS)
		} else {
			fmt.Fprintf(&b, " neighbor %s remote-as %d\n", name, n.AS)
		}
		fmt.Fprintf(&b, " neighbor %s timers %d %d\n neighbor %s timers connect 1\n neighbor %s advertisement-interval 0\n",
			name, n.hold()/3, n.hold(), name, name)
		if n.Password != "" {
			fmt.Fprintf(&b, " neighbor %s password %s\n", name, n.Password)
		}
		if n.TTLSecurity > 0 {
			fmt.Fprintf(&b, " neighbor %s ttl-security hops %d\n", name, n.TTLSecurity)
		}
		if n.BFD > 0 {
			profile := fmt.Sprintf("every%d", n.BFD.Milliseconds())
			fmt.Fprintf(&b, " neighbor %s bfd profile %s\n", name, profile)
			if c.GracefulRestart { // or the end of BFD ends the routes that it keeps
				fmt.Fprintf(&b, " neighbor %s bfd check-control-plane-failure\n", name)
			}
			fmt.Fprintf(&f, " profile %s\n  transmit-interval %d\n  receive-interval %d\n  detect-multiplier 3\n exit\n",
				profile, n.BFD.Milliseconds(), n.BFD.Milliseconds())
		}
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		fmt.Fprintf(&b, " address-family %s unicast\n  maximum-paths 16\n", family)
		for _, n := range c.Neighbors {
			if slices.Contains(n.families(), family) {
				fmt.Fprintf(&b, "  neighbor %s activate\n", n.name())
			}
		}
		for _, p := range c.Announce {
			if strings.Contains(p, ":") == (family == "ipv6") {
				fmt.Fprintf(&b, "  network %s\n", p)
			}
		}
		b.WriteString(" exit-address-family\n")
	}
	return f.String() + "exit\n", b.String()
}

// ask runs a command in the daemon's shell.
func (t *FRRToR) ask(ctx context.Context, daemon, command string) (string, error) {
	text, err := t.frr.host.Run(ctx, "vtysh", "--vty_socket", t.frr.dir, "--config_dir", t.frr.dir, "-d", daemon, "-c", command)
	if err != nil {
		return "", fmt.Errorf("ask frr: %w", err)
	}
	return text, nil
}

// Load has the router carry out a file of commands, on top of its own configuration.
func (t *FRRToR) Load(ctx context.Context, path string) error {
	if out, err := t.frr.host.Run(ctx, "vtysh", "--vty_socket", t.frr.dir, "--config_dir", t.frr.dir, "-f", path); err != nil {
		return fmt.Errorf("load %s into frr: %w\n%s", path, err, out)
	}
	return nil
}

func (t *FRRToR) json(ctx context.Context, daemon, command string, into any) error {
	text, err := t.ask(ctx, daemon, command)
	if err != nil {
		return err
	}
	if strings.TrimSpace(text) == "" {
		return nil // nothing to tell
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("read frr's answer to %q: %w", command, err)
	}
	return nil
}

// Prefixes implements [ToR].
func (t *FRRToR) Prefixes(ctx context.Context) (out []netip.Prefix, err error) {
	for _, family := range []string{"ipv4", "ipv6"} {
		var table struct {
			Routes map[netip.Prefix][]struct {
				Path string `json:"path"`
			} `json:"routes"`
		}
		if err := t.json(ctx, "bgpd", "show bgp "+family+" unicast json", &table); err != nil {
			return nil, err
		}
		for p, paths := range table.Routes {
			if slices.ContainsFunc(paths, func(x struct {
				Path string `json:"path"`
			}) bool {
				return x.Path != ""
			}) {
				out = append(out, p) // those without a path are its own
			}
		}
	}
	return out, nil
}

// Paths implements [ToR].
func (t *FRRToR) Paths(ctx context.Context, p netip.Prefix) (out []Path, err error) {
	family := "ipv4"
	if p.Addr().Is6() {
		family = "ipv6"
	}
	var answer struct {
		Paths []struct {
			ASPath struct {
				String string `json:"string"`
			} `json:"aspath"`
			Metric    uint32 `json:"metric"`
			LocalPref uint32 `json:"locPrf"`
			Community struct {
				List []string `json:"list"`
			} `json:"community"`
			Large struct {
				List []string `json:"list"`
			} `json:"largeCommunity"`
			NextHops []struct {
				IP netip.Addr `json:"ip"`
			} `json:"nexthops"`
		} `json:"paths"`
	}
	if err := t.json(ctx, "bgpd", fmt.Sprintf("show bgp %s unicast %s json", family, p), &answer); err != nil {
		return nil, err
	}
	for _, a := range answer.Paths {
		path := Path{ASPath: a.ASPath.String, MED: a.Metric, LocalPref: a.LocalPref, Communities: a.Community.List, Large: a.Large.List}
		if len(a.NextHops) > 0 {
			path.NextHop = a.NextHops[0].IP
		}
		out = append(out, path)
	}
	return out, nil
}

// Established implements [ToR].
func (t *FRRToR) Established(ctx context.Context, neighbor string) (bool, error) {
	var all map[string]struct {
		State string `json:"bgpState"`
	}
	if err := t.json(ctx, "bgpd", "show bgp neighbors "+neighbor+" json", &all); err != nil {
		return false, err
	}
	return all[neighbor].State == "Established", nil
}

// Show is FRR's own answer to a command, for what the other methods do not know.
func (t *FRRToR) Show(ctx context.Context, command string) (string, error) {
	return t.ask(ctx, "bgpd", command)
}

// BFDUp implements [ToR].
func (t *FRRToR) BFDUp(ctx context.Context, neighbor string) (bool, error) {
	var all []struct {
		Peer   string `json:"peer"`
		Status string `json:"status"`
	}
	if err := t.json(ctx, "bfdd", "show bfd peers json", &all); err != nil {
		return false, err
	}
	for _, p := range all {
		if p.Peer == neighbor {
			return p.Status == "up", nil
		}
	}
	return false, nil
}

// Reset implements [ToR].
func (t *FRRToR) Reset(ctx context.Context, neighbor string) error {
	_, err := t.ask(ctx, "bgpd", "clear bgp "+neighbor)
	return err
}

// Freeze implements [ToR].
func (t *FRRToR) Freeze(on bool) error {
	var errs []error
	for _, p := range t.processes {
		errs = append(errs, p.SignalGroup(freezing(on)))
	}
	return errors.Join(errs...)
}

// Kill implements [ToR]: all daemons die at once.
func (t *FRRToR) Kill() {
	for _, p := range t.processes {
		p.Kill()
	}
}
