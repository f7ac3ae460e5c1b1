package peers

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/testenv"
)

// Where Debian puts BIRD.
const (
	birdPath  = "/usr/sbin/bird"
	birdcPath = "/usr/sbin/birdc"
)

// BIRDToR is BIRD 2.
type BIRDToR struct {
	host      *testenv.Host
	dir       string
	process   *testenv.Process
	protocols map[string]string // by neighbor
}

// StartBIRDToR starts BIRD as a router on the host.
func StartBIRDToR(h *testenv.Host, c ToRConfig) (*BIRDToR, error) {
	t := &BIRDToR{host: h, protocols: map[string]string{}}
	var err error
	if t.dir, err = os.MkdirTemp(h.Dir(), "bird-"); err != nil {
		return nil, fmt.Errorf("start bird: %w", err)
	}
	for i, n := range c.Neighbors {
		t.protocols[n.name()] = fmt.Sprintf("n%d", i)
	}
	if err := os.WriteFile(t.path("bird.conf"), []byte(t.config(c)), 0o600); err != nil {
		return nil, fmt.Errorf("configure bird: %w", err)
	}
	t.process, err = h.Start(exec.Command(birdPath, "-f", "-c", t.path("bird.conf"), "-s", t.path("ctl"), "-P", t.path("pid")))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = testenv.Until(ctx, func() bool {
		_, err := t.ask(ctx, "show", "status") // the socket is there before it listens
		return err == nil
	})
	if err != nil {
		return nil, fmt.Errorf("start bird: %w: %s", err, t.process.Output())
	}
	return t, nil
}

func (t *BIRDToR) path(name string) string { return filepath.Join(t.dir, name) }

func (t *BIRDToR) config(c ToRConfig) string {
	var b strings.Builder
	fmt.Fprintf(&b, "log stderr all;\nrouter id %s;\nprotocol device { scan time 1; }\nprotocol direct { ipv4; ipv6; }\n"+
		"filter drained { if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept; }\n", c.RouterID) // RFC 8326; FRR does so unasked
	for _, family := range []string{"ipv4", "ipv6"} {
		fmt.Fprintf(&b, "protocol kernel { merge paths on; %s { import none; export all; }; }\nprotocol static { %s;\n", family, family)
		for _, p := range c.Announce {
			if strings.Contains(p, ":") == (family == "ipv6") {
				fmt.Fprintf(&b, "  route %s unreachable;\n", p)
			}
		}
		b.WriteString("}\n")
	}
	b.WriteString("protocol bfd {\n")
	for _, n := range c.Neighbors {
		if n.BFD > 0 {
			fmt.Fprintf(&b, "  neighbor %s;\n", n.Address)
			fmt.Fprintf(&b, "  interface \"*\" { interval %d ms; multiplier 3; };\n", n.BFD.Milliseconds())
		}
	}
	b.WriteString("}\n")
	for _, n := range c.Neighbors {
		fmt.Fprintf(&b, "protocol bgp %s {\n  local as %d;\n  neighbor %s as %d;\n  hold time %d;\n  connect delay time 1;\n  connect retry time 1;\n"+
			"  error wait time 1, 1;\n", t.protocols[n.name()], c.AS, n.Address, n.AS, n.hold())
		if n.Password != "" {
			fmt.Fprintf(&b, "  password %q;\n", n.Password)
		}
		if n.TTLSecurity > 0 {
			b.WriteString("  ttl security on;\n")
		}
		switch {
		case n.BFD > 0 && c.GracefulRestart: // or the end of BFD ends the routes that it keeps
			b.WriteString("  bfd graceful;\n")
		case n.BFD > 0:
			b.WriteString("  bfd on;\n")
		}
		if c.GracefulRestart {
			b.WriteString("  graceful restart aware;\n")
		}
		for _, family := range n.families() {
			export := "where source = RTS_STATIC"
			if c.Relay {
				export = "all"
			}
			fmt.Fprintf(&b, "  %s { import filter drained; export %s; };\n", family, export)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func (t *BIRDToR) ask(ctx context.Context, words ...string) (string, error) {
	text, err := t.host.Run(ctx, birdcPath, append([]string{"-s", t.path("ctl")}, words...)...)
	if err != nil {
		return "", fmt.Errorf("ask bird: %w", err)
	}
	return text, nil
}

// Prefixes implements [ToR].
func (t *BIRDToR) Prefixes(ctx context.Context) (out []netip.Prefix, err error) {
	text, err := t.ask(ctx, "show", "route", "where", "source", "=", "RTS_BGP")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		first, _, _ := strings.Cut(line, " ")
		if p, err := netip.ParsePrefix(first); err == nil {
			out = append(out, p)
		}
	}
	return out, nil
}

// Paths implements [ToR].
func (t *BIRDToR) Paths(ctx context.Context, p netip.Prefix) (out []Path, err error) {
	text, err := t.ask(ctx, "show", "route", "for", p.String(), "all", "where", "source", "=", "RTS_BGP")
	if err != nil {
		if strings.Contains(err.Error(), "not found") {
			return nil, nil
		}
		return nil, err
	}
	number := func(s string) uint32 { n, _ := strconv.ParseUint(s, 10, 32); return uint32(n) }
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "unicast [") {
			out = append(out, Path{})
		}
		if len(out) == 0 {
			continue
		}
		path := &out[len(out)-1]
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "BGP.as_path":
			path.ASPath = value
		case "BGP.med":
			path.MED = number(value)
		case "BGP.local_pref":
			path.LocalPref = number(value)
		case "BGP.next_hop":
			path.NextHop, _ = netip.ParseAddr(strings.Fields(value)[0])
		case "BGP.community":
			path.Communities = birdCommunities(value)
		case "BGP.large_community":
			path.Large = birdCommunities(value)
		}
	}
	return out, nil
}

// birdCommunities turns "(65101,53) (65101, 53, 1)" into 65101:53, 65101:53:1.
func birdCommunities(text string) (out []string) {
	for _, one := range strings.Split(text, ")") {
		if one = strings.Trim(one, " ("); one != "" {
			out = append(out, strings.ReplaceAll(strings.ReplaceAll(one, " ", ""), ",", ":"))
		}
	}
	return out
}

// Established implements [ToR].
func (t *BIRDToR) Established(ctx context.Context, neighbor string) (bool, error) {
	text, err := t.ask(ctx, "show", "protocols", t.protocols[neighbor])
	if err != nil {
		return false, err
	}
	return strings.Contains(text, "Established"), nil
}

// BFDUp implements [ToR].
func (t *BIRDToR) BFDUp(ctx context.Context, neighbor string) (bool, error) {
	text, err := t.ask(ctx, "show", "bfd", "sessions")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == neighbor {
			return slices.Contains(f, "Up"), nil
		}
	}
	return false, nil
}

// Reset implements [ToR].
func (t *BIRDToR) Reset(ctx context.Context, neighbor string) error {
	_, err := t.ask(ctx, "restart", t.protocols[neighbor])
	return err
}

// Show is BIRD's own answer to a command, for what the other methods do not know.
func (t *BIRDToR) Show(ctx context.Context, words ...string) (string, error) {
	return t.ask(ctx, words...)
}

// Freeze implements [ToR].
func (t *BIRDToR) Freeze(on bool) error { return t.process.SignalGroup(freezing(on)) }

// Kill implements [ToR].
func (t *BIRDToR) Kill() { t.process.Kill() }
