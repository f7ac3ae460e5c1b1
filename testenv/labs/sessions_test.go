package labs

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// TestSessions: what the configuration says of a session comes to work with FRR:
// passwords, unnumbered neighbors, and a family that cannot be told.
func TestSessions(t *testing.T) {
	peers.RequireToRs(t)
	p := bare(t)
	router := p.host("tor", "192.0.2.1/24")
	cable, err := p.lab.Segment("cable")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := router.Attach(cable); err != nil {
		t.Fatal(err)
	}
	lb1 := p.host("lb1", "192.0.2.2/24")
	lb2, err := p.lab.Outsider("lb2", cable)
	if err != nil {
		t.Fatal(err)
	}
	both := []string{"ipv4", "ipv6"}
	tor, err := peers.StartFRRToR(router, peers.ToRConfig{AS: 65001, RouterID: "192.0.2.1", Neighbors: []peers.ToRNeighbor{
		{Address: "192.0.2.2", AS: 65101, Password: "correct-horse", Families: both},
		{Interface: "eth1", AS: 65102, Families: both},
	}})
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(lb1.Dir(), "tor-password")
	if err := os.WriteFile(secret, []byte("wrong-horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const config = `
[bgp]
local_as = %d
router_id = "192.0.2.%d"
[bgp.neighbor.tor]
remote_as = 65001
%s
[anycast.dns]
prefixes = ["198.51.100.%d", "2001:db8:53::%d"]
`
	a := p.vipd(lb1, fmt.Sprintf(config, 65101, 2, fmt.Sprintf("address = \"192.0.2.1\"\npassword_file = %q", secret), 53, 53))
	p.vipd(lb2, fmt.Sprintf(config, 65102, 3, `interface = "eth0"`, 54, 54))
	knows := func(want ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var seen []netip.Prefix
		err := testenv.Until(ctx, func() bool {
			seen, err = tor.Prefixes(ctx)
			return err == nil && len(seen) == len(want) && !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(seen, netip.MustParsePrefix(w)) })
		})
		if err != nil {
			_, out, _ := a.run("bgp")
			t.Fatalf("the ToR has %v, want %v: %v\n%s", seen, want, err, out)
		}
	}
	knows("198.51.100.54/32", "2001:db8:53::54/128")
	if got := a.must("bgp"); strings.Contains(got, "ESTABLISHED") {
		t.Errorf("a session with the wrong password:\n%s", got)
	}
	if err := os.WriteFile(secret, []byte("correct-horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.must("reload")
	knows("198.51.100.54/32", "2001:db8:53::54/128", "198.51.100.53/32")
	const why = "2001:db8:53::53/128: nobody has it; tor is not told: this host has no IPv6 address on the interface of the session"
	if got := a.must("why", "dns"); !strings.Contains(got, why) {
		t.Errorf("vipd why dns does not say %q:\n%s", why, got)
	}
	if err := lb1.AddAddress("eth0", netip.MustParsePrefix("fd00:2::2/64")); err != nil {
		t.Fatal(err)
	}
	knows("198.51.100.54/32", "2001:db8:53::54/128", "198.51.100.53/32", "2001:db8:53::53/128")
}
