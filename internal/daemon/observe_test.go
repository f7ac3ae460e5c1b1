package daemon

import (
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/internal/journal"
	"github.com/vipd/vipd/internal/netif"
	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
	"github.com/vipd/vipd/pkg/observe"
	"github.com/vipd/vipd/pkg/vote"
)

// watcher is a daemon that only observes, without an edge that it could use.
func watcher(t *testing.T, vips map[string]engine.VIP) *Daemon {
	t.Helper()
	d := &Daemon{shadow: newShadow(), links: map[string]netif.Link{}, eng: engine.New(time.Now())}
	d.cfg.Store(&config.Config{Engine: engine.Config{VIPs: vips}})
	d.journal = journal.Open(journal.Options{Node: func() string { return "lb1" }, Log: slog.New(slog.DiscardHandler)})
	return d
}

// harmless are the actions that are carried out by a daemon that only observes: the
// probes, and what concerns this daemon alone.
var harmless = []string{"RunCheck", "WatchCheck", "ReadLink", "Answer"}

// TestPretend: of all actions that there are, only the harmless ones reach an edge.
// The daemon of this test has none, so another one that did would panic.
func TestPretend(t *testing.T) {
	t.Parallel()
	d := watcher(t, nil)
	all := []engine.Action{
		engine.SendAdvert{}, engine.SetAddresses{}, engine.ReadLink{}, engine.SetGuard{}, engine.SetLease{}, engine.RenewLease{}, engine.Announce{}, engine.Hush{}, engine.Tell{},
		engine.RunFence{}, engine.StopFence{}, engine.RememberFence{}, engine.AskVote{}, engine.AnswerVote{}, engine.ProbeVIP{}, engine.RememberProven{},
		engine.SetSpeaker{}, engine.SetTable{}, engine.RunCheck{}, engine.WatchCheck{}, engine.Notify{}, engine.RunHook{}, engine.StopHook{}, engine.Report{}, engine.Answer{},
	}
	var names []string
	for _, a := range all {
		name := reflect.TypeOf(a).Name()
		names = append(names, name)
		if slices.Contains(harmless, name) {
			if d.pretend(a) {
				t.Errorf("%s is not carried out", name)
			}
			continue
		}
		d.do(time.Now(), a)
	}
	slices.Sort(names)
	if diff := cmp.Diff(actions(t), names); diff != "" {
		t.Errorf("actions that there are (-) and that were tried (+):\n%s", diff)
	}
	d.shadow = nil
	for _, a := range all {
		if d.pretend(a) {
			t.Errorf("a daemon that works only pretends to do %T", a)
		}
	}
}

// actions reads the names of all actions from the source.
func actions(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../pkg/engine/action.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Name.Name == "action" && f.Recv != nil {
			names = append(names, f.Recv.List[0].Type.(*ast.Ident).Name)
		}
	}
	slices.Sort(names)
	return names
}

// TestObserving: what needs another host's word, or is announced, is not observed;
// checks and elections are as configured.
func TestObserving(t *testing.T) {
	t.Parallel()
	vip := engine.VIP{Interface: "eth0", VRID: 51, Priority: 150, Takeover: engine.TakeoverVotes, Lease: engine.LeaseAuto, Notify: true, BeforeHold: time.Second, Preempt: true}
	full := engine.Config{
		Node: "lb1", Pair: &engine.Pair{}, Witnesses: []vote.Witness{{Name: "rack3"}}, Fences: map[string]fence.Config{"lb2": {}}, BGP: &bgp.Config{}, Keep: true,
		Services: map[string]engine.Service{"dns": {}}, Groups: map[string][]string{"edge": {"web"}}, GroupNotify: map[string]bool{"edge": true},
		VIPs: map[string]engine.VIP{"web": vip},
	}
	plain := vip
	plain.Takeover, plain.Lease, plain.Notify, plain.BeforeHold = engine.TakeoverVRRP, engine.LeaseNone, false, 0
	want := engine.Config{Node: "lb1", Groups: map[string][]string{"edge": {"web"}}, VIPs: map[string]engine.VIP{"web": plain}}
	if got := observing(full); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if !reflect.DeepEqual(full.VIPs["web"], vip) {
		t.Error("the configuration itself was changed")
	}
}

// TestSeenAs: the engine sees its own addresses on a link, and not those that
// another daemon has there.
func TestSeenAs(t *testing.T) {
	t.Parallel()
	p := netip.MustParsePrefix
	own, web, mail, owner := p("192.0.2.2/24"), p("192.0.2.100/24"), p("192.0.2.101/24"), p("192.0.2.3/24")
	vips := map[string]engine.VIP{
		"web":  {Interface: "eth0", Priority: 150, Addresses: []netip.Prefix{web}},
		"mail": {Interface: "eth0", Priority: 100, Addresses: []netip.Prefix{mail}},
		"mine": {Interface: "eth0", Priority: 255, Addresses: []netip.Prefix{owner}},
	}
	d := watcher(t, vips)
	d.links["eth0"] = netif.Link{Name: "eth0", Present: true, Addresses: []netip.Prefix{own, p("192.0.2.100/32"), owner}}
	see := func() []netip.Prefix { return d.engineLink("eth0").Addresses }
	byPrefix := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff([]netip.Prefix{own, owner}, see(), byPrefix); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	set := engine.SetAddresses{VIP: "mail", Interface: "eth0", Addresses: []netip.Prefix{mail}, Present: true, Seq: 7}
	d.do(time.Now(), set)
	if diff := cmp.Diff([]netip.Prefix{own, owner, mail}, see(), byPrefix); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	if got := d.shadow.answers[0]; got != (engine.AddressesApplied{VIP: "mail", Seq: 7}) || len(d.shadow.answers) != 2 {
		t.Errorf("answers %+v", d.shadow.answers)
	}
	set.Present = false
	d.do(time.Now(), set)
	if diff := cmp.Diff([]netip.Prefix{own, owner}, see(), byPrefix); diff != "" {
		t.Errorf("given up (-want +got):\n%s", diff)
	}
}

// TestDecisions: what would be done, as it is compared.
func TestDecisions(t *testing.T) {
	t.Parallel()
	v4, v6 := netip.MustParsePrefix("192.0.2.100/24"), netip.MustParsePrefix("2001:db8::1/64")
	status := engine.Status{VIPs: []engine.VIPStatus{
		{Name: "web", State: engine.Active, Entered: "nobody was heard", Why: "no-response: nobody was heard", Family: "ipv4", Version: 3, VRID: 51, Interval: time.Second,
			Priority: engine.PriorityStatus{Configured: 150, Effective: 130}, Addresses: []netip.Prefix{v4, v6}, ActiveDown: 3600 * time.Millisecond},
		{Name: "six", State: engine.Fault, Why: "check haproxy fails", Family: "ipv6", Version: 3, Addresses: []netip.Prefix{v6}, ActiveDown: 300 * time.Millisecond},
		{Name: "new", State: engine.Initialize},
	}}
	list := decisions(status)
	web, six := list[0], list[1]
	if !web.Decided || !web.Hold || web.Why != "nobody was heard" || web.Advert.Priority != 130 || web.Patience != 7200*time.Millisecond ||
		!slices.Equal(web.Addresses, []netip.Addr{v4.Addr(), v6.Addr()}) || !slices.Equal(web.Advert.Addresses, []netip.Addr{v4.Addr()}) {
		t.Errorf("web: %+v", web)
	}
	if !six.Decided || six.Hold || six.Why != "check haproxy fails" || six.Patience != 3*time.Second || !slices.Equal(six.Advert.Addresses, []netip.Addr{v6.Addr()}) {
		t.Errorf("six: %+v", six)
	}
	if list[2].Decided {
		t.Error("one that starts has decided")
	}
}

// TestObserved makes records of changes.
func TestObserved(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	change := observe.Change{VIP: "web", Begun: true, Difference: observe.Difference{Kind: observe.Holder, Text: "it is elsewhere", Since: now.Add(-90 * time.Second)}}
	begun := observed(now, change)
	change.Begun = false
	over := observed(now, change)
	for _, c := range []struct{ got, want engine.Record }{
		{begun, engine.Record{Type: "observe", Name: "web", From: "agrees", To: "differs", Reason: "holder", Severity: engine.Warning, Text: "web: it is elsewhere"}},
		{over, engine.Record{Type: "observe", Name: "web", From: "differs", To: "agrees", Reason: "holder", Severity: engine.Notice, Took: 90 * time.Second,
			Text: "web: agrees again after 1m30s; before: it is elsewhere"}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if r := wouldBe(engine.Record{Type: engine.RecordTransition, Text: "web: BACKUP -> ACTIVE", Severity: engine.Notice}); r.Text != "would be: web: BACKUP -> ACTIVE" || r.Severity != engine.Info {
		t.Errorf("%+v", r)
	}
	if r := wouldBe(engine.Record{Type: engine.RecordCheck, Text: "check a: up -> down", Severity: engine.Warning}); r.Text != "check a: up -> down" || r.Severity != engine.Warning {
		t.Errorf("%+v", r)
	}
}
