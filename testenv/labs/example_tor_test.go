package labs

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv/peers"
)

// TestToRExample: examples/tor/frr.conf on FRR, and the file for the hosts that stands
// beside it, word by word: both hosts announce both prefixes, and a drain makes a
// path the last choice before it goes.
func TestToRExample(t *testing.T) {
	peers.RequireToRs(t)
	p := bare(t)
	tor, err := peers.StartFRRToR(p.host("tor", "10.0.1.1/24", "fd00:1::1/64"), peers.ToRConfig{AS: 65001, RouterID: "10.0.1.1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	conf, err := filepath.Abs("../../examples/tor/frr.conf")
	if err != nil {
		t.Fatal(err)
	}
	if err := tor.Load(ctx, conf); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../examples/tor/README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile("(?s)```toml\n(.*?)```").FindSubmatch(page)
	if text == nil {
		t.Fatal("no configuration in the README")
	}
	// Nobody answers questions of names here.
	file := strings.NewReplacer(`track    = ["dns"]`, "", "[check.dns]\ntype   = \"dns\"\nserver = \"127.0.0.1:53\"\nquery  = \"health.example.net A\"\n", "",
		"[bgp.neighbor.tor-a]", "drain = { wait = \"3s\" }\n[bgp.neighbor.tor-a]").Replace(string(text[1]))
	var hosts []*agent
	for i, name := range []string{"lb1", "lb2"} {
		id := []string{"10.0.1.11", "10.0.1.12"}[i]
		h := p.host(name, id+"/24", []string{"fd00:1::11/64", "fd00:1::12/64"}[i])
		hosts = append(hosts, p.vipd(h, strings.Replace(file, "10.0.1.11", id, 1)))
	}
	for _, prefix := range []string{"198.51.100.53/32", "2001:db8:53::53/128"} {
		hosts[0].eventually(20*time.Second, "two paths to "+prefix, func() bool {
			paths, err := tor.Paths(ctx, netip.MustParsePrefix(prefix))
			return err == nil && len(paths) == 2
		})
	}
	up := func() bool { ok, err := tor.BFDUp(ctx, "10.0.1.11"); return err == nil && ok }
	hosts[0].eventually(20*time.Second, "BFD to be up", up)
	hosts[0].must("drain", "resolver")
	hosts[0].eventually(10*time.Second, "the path of lb1 to be the last choice", func() bool {
		out, err := tor.Show(ctx, "show bgp ipv4 unicast 198.51.100.53/32")
		return err == nil && strings.Contains(out, "localpref 0")
	})
	hosts[0].eventually(10*time.Second, "one path to be left", func() bool {
		paths, err := tor.Paths(ctx, netip.MustParsePrefix("198.51.100.53/32"))
		return err == nil && len(paths) == 1
	})
}
