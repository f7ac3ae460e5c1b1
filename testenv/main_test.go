package testenv_test

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const (
	vip4 = "192.0.2.100"
	vip6 = "2001:db8::100"
	port = 7000
)

// trio is the small lab of most tests: a client and two hosts that could hold
// the address.
type trio struct {
	*testenv.Lab
	client, lb1, lb2 *testenv.Host
}

func newTrio(t *testing.T, programs ...string) trio {
	t.Helper()
	l := trio{Lab: testenv.TestLab(t, programs...)}
	for _, h := range []struct {
		host   **testenv.Host
		name   string
		v4, v6 string
	}{
		{&l.client, "client", "192.0.2.10/24", "2001:db8::10/64"},
		{&l.lb1, "lb1", "192.0.2.1/24", "2001:db8::1/64"},
		{&l.lb2, "lb2", "192.0.2.2/24", "2001:db8::2/64"},
	} {
		var err error
		*h.host, err = l.Host(h.name, h.v4, h.v6)
		ok(t, err)
	}
	for _, h := range []*testenv.Host{l.lb1, l.lb2} {
		_, err := h.Respond(port)
		ok(t, err)
	}
	return l
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func host32(ip string) netip.Prefix {
	a := netip.MustParseAddr(ip)
	return netip.PrefixFrom(a, a.BitLen())
}

func target(ip string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(ip), port) }
