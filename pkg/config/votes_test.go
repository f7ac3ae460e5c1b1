package config

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vote"
)

const voted = `
[vip.web]
interface = "eth0"
vrid      = 51
addresses = ["192.0.2.10/24"]
takeover  = "votes"
no_majority = "hold"
advert_interval = "100ms"
[pair]
key_file = "pair-key"
[peer.lb2]
addresses = ["192.0.2.3"]
[witness.rack3]
address = "10.0.9.7"
key_file = "pair-key"
[witness.etcd]
type = "etcd"
endpoints = ["https://10.0.9.7:2379"]
cluster = "edge"
ttl = "6s"
`

func TestVotes(t *testing.T) {
	t.Parallel()
	c := parse(t, voted)
	want := []vote.Witness{{Name: "etcd", Cluster: "edge", TTL: 6 * time.Second, Etcd: true}, {Name: "rack3", Cluster: "vipd"}}
	if diff := cmp.Diff(want, c.Engine.Witnesses); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if v := c.Engine.VIPs["web"]; v.Takeover != engine.TakeoverVotes || !v.HoldOn {
		t.Errorf("takeover %s, hold %t", v.Takeover, v.HoldOn)
	}
	rack3 := c.Witnesses["rack3"]
	if rack3.Address != netip.MustParseAddrPort("10.0.9.7:5798") || len(rack3.Key) < 32 || len(rack3.Endpoints) > 0 {
		t.Errorf("rack3 is %+v", rack3)
	}
	if e := c.Witnesses["etcd"]; len(e.Endpoints) != 1 || e.Key != "" {
		t.Errorf("etcd is %+v", e)
	}
}

// TestVotesDiff: a reload says what changes, and of a key only that it does.
func TestVotesDiff(t *testing.T) {
	t.Parallel()
	from, to := parse(t, voted), parse(t, voted)
	w := to.Witnesses["rack3"]
	w.Address, w.Key = netip.MustParseAddrPort("10.0.9.8:5798"), "another"
	to.Witnesses["rack3"] = w
	v := to.Engine.VIPs["web"]
	v.HoldOn = false
	to.Engine.VIPs["web"] = v
	want := []string{
		"vip.web: no_majority hold -> release",
		"witness.rack3: address 10.0.9.7:5798 -> 10.0.9.8:5798",
		"witness.rack3: another key",
	}
	if diff := cmp.Diff(want, Diff(from, to)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
