package daemon

import (
	"log/slog"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
	"github.com/vipd/vipd/pkg/vrrp/vrrpnet"
)

// TestPortWithoutSocket: adverts for an interface that is not there yet come
// back as failures, each once, and the batch is empty afterwards.
func TestPortWithoutSocket(t *testing.T) {
	t.Parallel()
	p := newPort(portKey{"eth0", true}, slog.New(slog.DiscardHandler))
	p.out = append(p.out, vrrpnet.Outgoing{}, vrrpnet.Outgoing{})
	p.vips = append(p.vips, "web", "mail")
	want := []engine.Event{
		engine.SendFailed{VIP: "web", Err: errNoSocket.Error()},
		engine.SendFailed{VIP: "mail", Err: errNoSocket.Error()},
	}
	if diff := cmp.Diff(want, p.flush()); diff != "" {
		t.Error(diff)
	}
	if again := p.flush(); again != nil {
		t.Errorf("sent twice: %v", again)
	}
}

// TestPortCountsOverSockets: the drops of a socket that ended are not lost.
func TestPortCountsOverSockets(t *testing.T) {
	t.Parallel()
	p := newPort(portKey{"eth0", true}, slog.New(slog.DiscardHandler))
	for _, c := range []vrrpnet.Counters{
		{Dropped: map[vrrp.Cause]uint64{vrrp.CauseChecksum: 3}, Refused: map[uint8]vrrpnet.Refusals{51: {Count: 2, Detail: "old"}, 52: {Count: 1, Detail: "other"}}},
		{Dropped: map[vrrp.Cause]uint64{vrrp.CauseChecksum: 4, vrrp.CauseHopLimit: 1}, Refused: map[uint8]vrrpnet.Refusals{51: {Count: 5, Detail: "new"}}},
	} {
		p.past.Store(p.past.Load().add(c))
	}
	got := p.refused(nil)
	if diff := cmp.Diff(map[vrrp.Cause]uint64{vrrp.CauseChecksum: 7, vrrp.CauseHopLimit: 1}, got.causes); diff != "" {
		t.Error(diff)
	}
	want := map[uint8]vrrpnet.Refusals{51: {Count: 7, Detail: "new"}, 52: {Count: 1, Detail: "other"}}
	if diff := cmp.Diff(want, got.auth, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
}
