package daemon

import (
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	p.keep(map[vrrp.Cause]uint64{vrrp.CauseChecksum: 3})
	p.keep(map[vrrp.Cause]uint64{vrrp.CauseChecksum: 4, vrrp.CauseHopLimit: 1})
	want := map[vrrp.Cause]uint64{vrrp.CauseChecksum: 7, vrrp.CauseHopLimit: 1}
	if diff := cmp.Diff(want, p.counters()); diff != "" {
		t.Error(diff)
	}
}
