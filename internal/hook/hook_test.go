package hook

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	web = Subject{Name: "web"}

	active = Change{
		Subject: web, State: "ACTIVE", From: "BACKUP", Reason: "no-response", Priority: 150, Interface: "eth0", VRID: 51,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8::10/64")},
		Peer:      netip.MustParseAddr("192.0.2.3"), SyncGroup: "edge",
		ID: 42, Time: time.Date(2026, 10, 16, 3, 4, 5, 678e6, time.FixedZone("", 7200)),
		Event: map[string]any{"schema": "vipd.event/v1", "seq": 42},
	}
	edge = Change{Subject: Subject{Group: true, Name: "edge"}, State: "INIT", From: "ACTIVE", Reason: "drained", SyncGroup: "edge"}
)

func TestWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		change    Change
		arguments []string
		line      string
	}{
		{active, []string{"INSTANCE", "web", "MASTER", "150"}, "INSTANCE \"web\" MASTER 150\n"},
		{edge, []string{"GROUP", "edge", "STOP", "0"}, "GROUP \"edge\" STOP 0\n"},
		{Change{Subject: web, State: "BACKUP", Priority: 7}, []string{"INSTANCE", "web", "BACKUP", "7"}, "INSTANCE \"web\" BACKUP 7\n"},
		{Change{Subject: web, State: "FAULT", Priority: 1}, []string{"INSTANCE", "web", "FAULT", "1"}, "INSTANCE \"web\" FAULT 1\n"},
	} {
		if diff := cmp.Diff(tt.arguments, tt.change.arguments()); diff != "" {
			t.Errorf("arguments (-want +got)\n%s", diff)
		}
		if got := tt.change.line(); got != tt.line {
			t.Errorf("line %q, want %q", got, tt.line)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	want := []string{
		"VIPD_EVENT_ID=42", "VIPD_TYPE=INSTANCE", "VIPD_NAME=web", "VIPD_STATE=ACTIVE", "VIPD_PREV_STATE=BACKUP",
		"VIPD_REASON=no-response", "VIPD_PRIORITY=150", "VIPD_INTERFACE=eth0", "VIPD_VRID=51",
		"VIPD_ADDRESSES=192.0.2.10/24 2001:db8::10/64", "VIPD_PEER=192.0.2.3", "VIPD_NODE=lb1", "VIPD_SYNC_GROUP=edge",
		"VIPD_TIME=2026-10-16T03:04:05.678+02:00",
	}
	if diff := cmp.Diff(want, active.environment(Settings{Node: "lb1"})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want = []string{
		"VIPD_EVENT_ID=0", "VIPD_TYPE=GROUP", "VIPD_NAME=edge", "VIPD_STATE=INIT", "VIPD_PREV_STATE=ACTIVE",
		"VIPD_REASON=drained", "VIPD_PRIORITY=0", "VIPD_INTERFACE=", "VIPD_VRID=", "VIPD_ADDRESSES=", "VIPD_PEER=",
		"VIPD_NODE=lb1", "VIPD_SYNC_GROUP=edge", "VIPD_TIME=0001-01-01T00:00:00.000Z",
	}
	if diff := cmp.Diff(want, edge.environment(Settings{Node: "lb1"})); diff != "" {
		t.Errorf("of a group (-want +got)\n%s", diff)
	}
	if got := string(active.input()); got != `{"schema":"vipd.event/v1","seq":42}`+"\n" {
		t.Errorf("input %s", got)
	}
}
