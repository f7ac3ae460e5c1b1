package daemon

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
	"github.com/vipd/vipd/pkg/vrrp/vrrpnet"
)

// TestAuthenticated: the status of each VIP gets what its own port refused of its
// own VRID, and the ids of its keys.
func TestAuthenticated(t *testing.T) {
	t.Parallel()
	peer, at := netip.MustParseAddr("192.0.2.3"), time.Unix(1_700_000_000, 0)
	four, six := newPort(portKey{"eth0", true}, slog.New(slog.DiscardHandler)), newPort(portKey{"eth0", false}, slog.New(slog.DiscardHandler))
	four.past.Store(&refusals{auth: map[uint8]vrrpnet.Refusals{
		51: {Count: 3, Source: peer, Detail: "not signed", Time: at}, 53: {Count: 1, Source: peer, Detail: "another password", Time: at},
	}})
	d := &Daemon{}
	d.portList.Store(&[]*port{four, six})
	keys := map[uint8]vrrp.Secret{7: "seven", 1: "one"}
	cfg := &config.Config{Auth: map[string]vrrp.Auth{
		"web":   {Mode: vrrp.AuthEnforce, Keys: keys, ActiveKey: 7},
		"six":   {Mode: vrrp.AuthReceiveOnly, Keys: keys, ActiveKey: 7},
		"plain": {Mode: vrrp.AuthPassword, Password: "secret"},
	}}
	vips := []engine.VIPStatus{
		{Name: "web", Interface: "eth0", VRID: 51, Family: "ipv4"}, {Name: "six", Interface: "eth0", VRID: 51, Family: "ipv6"},
		{Name: "plain", Interface: "eth1", VRID: 51, Family: "ipv4"}, {Name: "none", Interface: "eth0", VRID: 52, Family: "ipv4"},
		{Name: "old", Interface: "eth0", VRID: 53, Family: "ipv4"},
	}
	d.authenticated(cfg, vips)
	want := []*engine.AuthStatus{
		{Mode: "enforce", Keys: []int{1, 7}, ActiveKey: 7, Refused: 3, Last: &engine.AuthRefusal{Source: peer, Detail: "not signed", Time: at}},
		{Mode: "receive-only", Keys: []int{1, 7}},
		{Mode: "password"},
		nil,
		{Mode: "off", Refused: 1, Last: &engine.AuthRefusal{Source: peer, Detail: "another password", Time: at}},
	}
	for i := range vips {
		if diff := cmp.Diff(want[i], vips[i].Auth, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s (-want +got)\n%s", vips[i].Name, diff)
		}
	}
}
