package daemon

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/internal/lease"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
)

// The files of version 1 as they are read for ever, each with fields that a newer
// release may have added.
const (
	heldV1 = `{"schema":"vipd.held/v1","new":1,"vips":{"web":{"VIP":{"Interface":"eth0","VRID":51,"Version":3,"VMAC":true,"Interval":1000000000,
"Addresses":["192.0.2.100/24"],"Routes":[{"To":"10.0.0.0/8","Via":"192.0.2.1","Table":7,"New":1}],"New":{"a":1}},"Epoch":7,"Priority":130,
"Since":"2026-01-02T03:04:05Z","Reason":"preempted","Text":"lb2 advertises 100","said_ns":%d,"until_ns":%d,"new_ns":1}},
"leases":{"rules":1,"flags":6,"absent":true,"last_id":3,"timeouts_ns":[2500000000],"new":1,"vips":[{"Name":"web","Interface":"eth0","VMAC":true,
"Family4":true,"VRID":51,"Addresses":["192.0.2.100"],"Timeout":2500000000,"ID":3,"Ends":true,"New":1}]}}`
	drainsV1 = `{"schema":"vipd.drains/v1","new":1,"drains":{"web":{"actor":"anna (uid 1004)","reason":"new kernel","since":"2026-01-02T03:04:05Z",
"until":"2026-01-02T04:04:05Z","new":1}},"anycast":{"dns":{"actor":"root","since":"2026-01-02T03:04:05Z"}}}`
	provenV1 = `{"schema":"vipd.proven/v1","new":1,"vips":{"web":"2026-01-02T03:04:05Z"}}`
	keptV1   = `{"schema":"vipd.kept/v1","new":1,"booted":"%s","until":"%s"}`
	memoryV1 = `{"schema":"vipd.fence-memory/v1","new":1,"boot_id":"%s","saved_ns":%d,"upset_ns":%d,"peers":{"lb2":{"heard_ns":%d,"new":1,
"peer_content":true,"holds":false,"peer_holds":true,"preferred":true}}}`
	fencesV1 = `{"time":"2026-01-02T03:04:05Z","peer":"lb2","kind":"shot","level":1,"devices":["ipmi"],"by":"anna","text":"…","new":1}
{"time":"2026-01-02T03:04:06Z","peer":"lb2","kind":"newest"}
`
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestReadsVersion1: what every release has left is read, whatever was added to it.
func TestReadsVersion1(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	same := func(what string, want, got any, err error) {
		t.Helper()
		diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateApproxTime(5*time.Second), cmp.AllowUnexported(memory{}))
		if err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", what, err, diff)
		}
	}
	boot, up, err := hostClock()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()

	write(t, path("held.json"), fmt.Sprintf(heldV1, up-time.Second, up+time.Minute))
	vips, leases, err := readHeld(path("held.json"))
	same("held", map[string]engine.Kept{"web": {
		VIP: engine.VIP{Interface: "eth0", VRID: 51, Version: 3, VMAC: true, Interval: time.Second, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")},
			Routes: []engine.Route{{To: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("192.0.2.1"), Table: 7}}},
		Epoch: 7, Priority: 130, Since: at, Reason: "preempted", Text: "lb2 advertises 100", Said: now.Add(-time.Second), Until: now.Add(time.Minute),
	}}, vips, err)
	same("leases", &lease.Left{Rules: 1, Flags: 6, Absent: true, LastID: 3, Timeouts: []time.Duration{2500 * time.Millisecond}, VIPs: []lease.LeftVIP{{
		Guarded: lease.Guarded{Name: "web", Interface: "eth0", VMAC: true, Family4: true, VRID: 51, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.100")}, Timeout: 2500 * time.Millisecond},
		ID:      3, Ends: true,
	}}}, leases, leases.Fits())

	write(t, path("drains.json"), drainsV1)
	drained, err := newDrains(dir).load()
	same("drains", drainsFile{Schema: drainsSchema,
		Drains:   map[string]engine.DrainStatus{"web": {Actor: "anna (uid 1004)", Reason: "new kernel", Since: at, Until: at.Add(time.Hour)}},
		Services: map[string]engine.DrainStatus{"dns": {Actor: "root", Since: at}}}, drained, err)

	write(t, path("proven.json"), provenV1)
	proven, err := newProven(dir).load()
	same("proven", map[string]time.Time{"web": at}, proven, err)

	booted, err := booted(now)
	if err != nil {
		t.Fatal(err)
	}
	until := now.Add(time.Minute)
	write(t, path("kept.json"), fmt.Sprintf(keptV1, booted.UTC().Format(time.RFC3339Nano), until.UTC().Format(time.RFC3339Nano)))
	got, err := readKept(path("kept.json"), now)
	same("kept", until, got, err)

	f := newFences(dir, nil)
	write(t, path("fences.json"), fmt.Sprintf(memoryV1, boot, up, up-time.Minute, up-time.Second))
	peers, err := f.recall(now)
	same("memory", &memory{upset: now.Add(-time.Minute), peers: map[string]engine.FenceMemory{
		"lb2": {Heard: now.Add(-time.Second), PeerContent: true, PeerHolds: true, Preferred: true},
	}}, peers, err)

	write(t, path("fences.jsonl"), fencesV1)
	history, err := f.load()
	same("history", fence.History{
		{Time: at, Peer: "lb2", Kind: fence.Shot, Level: 1, Devices: []string{"ipmi"}, By: "anna", Text: "…"},
		{Time: at.Add(time.Second), Peer: "lb2", Kind: "newest"},
	}, history, err)
}

// TestNewerFiles: what is of a newer release is not guessed at. What would be
// written over is put aside.
func TestNewerFiles(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(dir string) error{
		"drains.json": func(dir string) error { _, err := newDrains(dir).load(); return err },
		"proven.json": func(dir string) error { _, err := newProven(dir).load(); return err },
		"held.json":   func(dir string) error { _, _, err := readHeld(filepath.Join(dir, "held.json")); return err },
		"kept.json":   func(dir string) error { _, err := readKept(filepath.Join(dir, "kept.json"), time.Now()); return err },
		"fences.json": func(dir string) error { _, err := newFences(dir, nil).recall(time.Now()); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			kind := map[string]string{"fences.json": "fence-memory"}[name]
			if kind == "" {
				kind = strings.TrimSuffix(name, ".json")
			}
			path := filepath.Join(dir, name)
			write(t, path, `{"schema":"vipd.`+kind+`/v2","vips":{}}`)
			err := read(dir)
			if err == nil || !strings.Contains(err.Error(), "vipd."+kind+`/v2", not "vipd.`+kind+"/v1") {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(path); err == nil && name != "fences.json" { // which is written again each second
				t.Error("it is still there")
			}
			_, aside := os.Stat(path + ".unread")
			if keeps := name == "drains.json" || name == "proven.json"; keeps != (aside == nil) {
				t.Errorf("put aside: %t", aside == nil)
			}
		})
	}
}

// TestHeldOfOtherRules: leases of a table that works in another way do not go on, and the
// first turn says so.
func TestHeldOfOtherRules(t *testing.T) {
	t.Parallel()
	_, up, err := hostClock()
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{opts: Options{StateDir: t.TempDir()}, leases: newLeases()}
	write(t, d.heldPath(), strings.Replace(fmt.Sprintf(heldV1, up, up+time.Minute), `"rules":1`, `"rules":2`, 1))
	vips, leases := d.inherit()
	if len(vips) > 0 || leases != nil || len(d.losses) != 1 {
		t.Fatalf("goes on with %v, %v, says %v", vips, leases, d.losses)
	}
	const want = "what the last run held does not go on: table netdev vipd has rules of version 2, not 1"
	if got := d.losses[0].(engine.Noted).Record; got.Text != want || got.Type != engine.RecordResume || got.Severity != engine.Warning {
		t.Errorf("says %+v", got)
	}
}
