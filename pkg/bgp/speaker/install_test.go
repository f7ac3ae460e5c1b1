package speaker

import (
	"log/slog"
	"net/netip"
	"testing"

	"github.com/vipd/vipd/pkg/bgp"
)

// A table of a thousand routes on its way to the sessions and back, with none.
func BenchmarkInstall(b *testing.B) {
	c := bgp.Config{LocalAS: 65101, RouterID: netip.MustParseAddr("10.0.0.1"), ListenPort: -1}
	s := newSpeaker(slog.New(slog.DiscardHandler), func(bgp.Session) {})
	l, err := startLibrary(c, slog.New(s.listener()), func(peerEvent) {})
	if err != nil {
		b.Fatal(err)
	}
	defer l.stop(false)
	if err := l.addTable("tor", 1); err != nil {
		b.Fatal(err)
	}
	var up, down bgp.Change
	for i := range 1000 {
		r := bgp.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)}
		up.Announce, down.Withdraw = append(up.Announce, r), append(down.Withdraw, r.Prefix)
	}
	for b.Loop() {
		for _, change := range []bgp.Change{up, down} {
			if err := l.install("tor", bgp.Neighbor{RemoteAS: 65001}, c.LocalAS, change, netip.Addr{}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// What the core and the child do to a thousand routes on the pipe.
func BenchmarkPipe(b *testing.B) {
	to := bgp.Table{}
	for i := range 1000 {
		to["tor"] = append(to["tor"], bgp.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)})
	}
	for b.Loop() {
		for _, m := range split(1, true, bgp.Diff(nil, to)) {
			line, err := encode(m)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := decode(line); err != nil {
				b.Fatal(err)
			}
		}
	}
}
