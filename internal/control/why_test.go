package control_test

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/internal/control/controltest"
	"github.com/vipd/vipd/pkg/engine"
)

var update = flag.Bool("update", false, "rewrite testdata from what the code says now")

// golden compares a text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// vipOf is the named VIP of a document, to be changed.
func vipOf(doc *control.StatusDocument, name string) *engine.VIPStatus {
	for i := range doc.VIPs {
		if doc.VIPs[i].Name == name {
			return &doc.VIPs[i]
		}
	}
	return nil
}

// whyNow is the time of the fixture, whyPeer another host that is Active, and
// whyDrain somebody's drain.
var (
	whyNow   = controltest.At(14, 5, 2.118)
	whyPeer  = &engine.ActiveStatus{Address: netip.MustParseAddr("192.0.2.3"), Priority: 100, Interval: time.Second, Heard: whyNow.Add(-300 * time.Millisecond)}
	whyDrain = &engine.DrainStatus{Actor: "anna (uid 1004)", Reason: "kernel upgrade CHG-1201", Since: whyNow.Add(-90 * time.Second)}
)

// toBackup makes a VIP a Backup behind whyPeer.
func toBackup(v *engine.VIPStatus) {
	v.State, v.Stage, v.Held, v.Since = engine.Backup, engine.Elected, false, whyNow.Add(-90*time.Second)
	v.Active, v.ActiveDownDue = whyPeer, whyNow.Add(3*time.Second)
}

// toFault makes a VIP not eligible.
func toFault(v *engine.VIPStatus, reason, why string, blockers ...engine.Blocker) {
	v.State, v.Stage, v.Held, v.Since = engine.Fault, engine.Eligible, false, whyNow.Add(-90*time.Second)
	v.Reason, v.Entered, v.Blockers = reason, why, blockers
}

// blockedBy is a blocker.
func blockedBy(kind engine.BlockerKind, name, text string) engine.Blocker {
	return engine.Blocker{Kind: kind, Name: name, Text: text}
}

// whyCases are all the ways in which a VIP can be.
var whyCases = map[string]struct {
	vip    string
	change func(doc *control.StatusDocument, v *engine.VIPStatus)
}{
	"active":      {"web", func(*control.StatusDocument, *engine.VIPStatus) {}},
	"active-sync": {"inside", func(*control.StatusDocument, *engine.VIPStatus) {}},
	"active-owner": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		v.Reason, v.Entered, v.Priority = "owner", "address owner", engine.PriorityStatus{Configured: 255, Effective: 255}
		v.Lease = engine.LeaseStatus{Kind: "none", Why: "the addresses are this host's own (priority 255)"}
	}},
	"active-not-held": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		v.Held, v.Stage, v.Since = false, engine.Cleared, whyNow.Add(-1500*time.Microsecond)
	}},
	"active-before-hold": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		v.Held, v.Since = false, whyNow.Add(-300*time.Millisecond)
		v.BeforeHold = &engine.HookStatus{VIP: "inside", Since: v.Since, Until: whyNow.Add(1700 * time.Millisecond)}
	}},
	"active-contested": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) { v.Active = whyPeer }},
	"active-weakened": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		v.Priority = engine.PriorityStatus{Configured: 150, Effective: 145, Terms: []engine.PriorityTerm{
			{Source: "check", Name: "api", Delta: -20}, {Source: "check", Name: "haproxy", Delta: 15}}}
	}},
	"active-refusing": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		v.Auth.Last.Time = whyNow.Add(-300 * time.Millisecond)
	}},
	"backup-refusing": {"mail", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		v.Active, v.Entered, v.Reason = nil, "", "startup"
		v.Auth = &engine.AuthStatus{Mode: "off", Refused: 1, Last: &engine.AuthRefusal{
			Source: netip.MustParseAddr("192.0.2.3"), Detail: "signed, and there are no keys here", Time: whyNow.Add(-2 * time.Second)}}
	}},
	"active-draining": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) { v.Drained = whyDrain }},
	"active-unknown-reason": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		v.Reason, v.Entered = "phase-of-moon", "the moon is full."
	}},
	"backup-lower": {"mail", func(*control.StatusDocument, *engine.VIPStatus) {}},
	"backup-equal": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		toBackup(v)
		v.Reason, v.Entered, v.Priority = "startup", "", engine.PriorityStatus{Configured: 100, Effective: 100}
	}},
	"backup-higher": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		toBackup(v)
		v.Reason, v.Entered = "startup", "192.0.2.3 advertises 100, own 150"
	}},
	"backup-preempt-held": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		toBackup(v)
		v.Reason, v.Entered, v.PreemptHolding = "startup", "192.0.2.3 advertises 100, own 150", "preempt_delay has 58.5s left"
	}},
	"backup-held-by-check-and-delay": {"mail", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		v.PreemptHolding = "preempt = false"
	}},
	"backup-check-not-enough": {"mail", func(_ *control.StatusDocument, v *engine.VIPStatus) { v.Active.Priority = 200 }},
	"backup-clamped": {"mail", func(doc *control.StatusDocument, v *engine.VIPStatus) {
		v.Priority = engine.PriorityStatus{Configured: 100, Effective: 1, Terms: []engine.PriorityTerm{
			{Source: "check", Name: "api", Delta: -20}, {Source: "interface", Name: "eth1", Delta: -200}}}
		doc.Links[1].Up, doc.Links[1].Since = false, whyNow.Add(-time.Minute)
	}},
	"backup-nobody": {"mail", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		v.Active, v.Entered, v.Reason = nil, "192.0.2.3 released it", "release"
	}},
	"fault-check": {"web", func(doc *control.StatusDocument, v *engine.VIPStatus) {
		toFault(v, "check", "check haproxy is down", blockedBy(engine.BlockedCheck, "haproxy", "check haproxy is down: connection refused"))
		doc.Checks[1].State, doc.Checks[1].LastOK, doc.Checks[1].Consecutive = "down", true, 2
		v.Active = whyPeer
	}},
	"fault-several": {"web", func(doc *control.StatusDocument, v *engine.VIPStatus) {
		toFault(v, "interface", "interface eth1 is down", blockedBy(engine.BlockedInterface, "eth1", "interface eth1 is down"),
			blockedBy(engine.BlockedCheck, "api", "check api is down."), blockedBy(engine.BlockedSync, "inside", "inside of sync group edge: drained"))
		doc.Links[1].Up = false
	}},
	"fault-missing-interface": {"web", func(doc *control.StatusDocument, v *engine.VIPStatus) {
		toFault(v, "interface", "interface eth0 is missing", blockedBy(engine.BlockedInterface, "eth0", "interface eth0 is missing"))
		doc.Links[0].Present, doc.Links[0].Up = false, false
	}},
	"fault-drained": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		toFault(v, "drained", "drained by anna (uid 1004)", blockedBy(engine.BlockedDrain, "", "drained by anna (uid 1004)"))
		v.Drained = whyDrain
	}},
	"fault-drained-until": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		toFault(v, "drained", "", blockedBy(engine.BlockedDrain, "", "drained"))
		d := *whyDrain
		d.Reason, d.Until = "", whyNow.Add(2*time.Hour)
		v.Drained = &d
	}},
	"init-startup": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		v.State, v.Stage, v.Held, v.Since = engine.Initialize, engine.Eligible, false, whyNow.Add(-2*time.Second)
		v.Reason, v.Entered = "startup", "startup delay of 5s"
		v.Blockers = []engine.Blocker{{Kind: engine.BlockedStartup, Text: "startup delay of 5s", Ends: whyNow.Add(3 * time.Second)}}
	}},
	"init-interface": {"web", func(doc *control.StatusDocument, v *engine.VIPStatus) {
		v.State, v.Stage, v.Held, v.Since = engine.Initialize, engine.Eligible, false, whyNow.Add(-time.Hour)
		v.Reason, v.Entered = "startup", "waits for the state of interface eth0"
		v.Blockers = []engine.Blocker{blockedBy(engine.BlockedStartup, "eth0", "waits for the state of interface eth0")}
		doc.Links = doc.Links[1:]
	}},
	"fault-kernel": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) {
		text := "add 192.0.2.10/24 to eth0: operation not permitted"
		toFault(v, "kernel", text, engine.Blocker{Kind: engine.BlockedKernel, Text: text, Ends: whyNow.Add(7 * time.Second)})
	}},
	"unknown-state": {"web", func(_ *control.StatusDocument, v *engine.VIPStatus) { v.State = "LIMBO" }},
}

// TestWhy explains a VIP in every state. Each case changes the status of a pair
// and names the VIP; the text is in testdata/why/NAME.txt.
func TestWhy(t *testing.T) {
	t.Parallel()
	for name, c := range whyCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := controltest.Pair()
			c.change(&doc, vipOf(&doc, c.vip))
			e, err := control.Why(doc.Status, c.vip)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("why", name+".txt"), e.Text())
		})
	}
}

// TestWhyCheck explains checks; the text is in testdata/why/check-NAME.txt.
func TestWhyCheck(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		check  string
		change func(*control.StatusDocument)
	}{
		"down": {"api", func(*control.StatusDocument) {}},
		"up":   {"haproxy", func(*control.StatusDocument) {}},
		"rising": {"api", func(doc *control.StatusDocument) {
			doc.Checks[0].LastOK, doc.Checks[0].Consecutive, doc.Checks[0].LastDetail = true, 2, ""
		}},
		"blocking": {"api", func(doc *control.StatusDocument) {
			v := vipOf(doc, "mail")
			v.State, v.Priority.Terms, v.Blockers = engine.Fault, nil, []engine.Blocker{blockedBy(engine.BlockedCheck, "api", "check api is down")}
		}},
		"never-ran": {"api", func(doc *control.StatusDocument) {
			doc.Checks[0] = engine.CheckStatus{Name: "api", Type: "exec", State: "unknown", Since: doc.Started, Rise: 1, Fall: 1}
		}},
		"held-down": {"api", func(doc *control.StatusDocument) {
			c := &doc.Checks[0]
			c.LastOK, c.Consecutive, c.LastDetail = true, 9, "exit 0"
			c.HoldDown, c.HeldUntil = 20*time.Second, whyNow.Add(7*time.Second)
			c.Recent = []engine.CheckResult{{OK: false}, {OK: true}, {OK: true}}
		}},
		"flapping": {"api", func(doc *control.StatusDocument) { doc.Checks[0].HoldDown = 20 * time.Second }},
		"masked": {"haproxy", func(doc *control.StatusDocument) {
			doc.Checks[1].Masked = "by api"
			doc.Checks[0].After = []string{"net"}
			doc.Checks[1].After = []string{"api"}
		}},
		"masks": {"api", func(doc *control.StatusDocument) { doc.Checks[1].After = []string{"api"} }},
		"idle": {"api", func(doc *control.StatusDocument) {
			doc.Checks[0].Masked, doc.Checks[0].HeldUntil = "while mail is not held", whyNow.Add(7*time.Second)
			doc.Checks[0].HoldDown = 10 * time.Second
			vipOf(doc, "mail").Priority.Terms = nil
			vipOf(doc, "mail").Tracks = []engine.Tracked{{Source: "check", Name: "api", Fault: true}}
		}},
		"idle-good": {"haproxy", func(doc *control.StatusDocument) { doc.Checks[1].Masked = "while web is not held" }},
		"watched": {"haproxy", func(doc *control.StatusDocument) {
			weight := -30
			c := &doc.Checks[1]
			c.Type, c.Watched, c.Rise, c.Fall, c.Weight, c.LastDetail = "process", true, 1, 1, &weight, "pid 812 runs"
			vipOf(doc, "web").Tracks = []engine.Tracked{{Source: "check", Name: "haproxy", Fault: true}}
			vipOf(doc, "mail").Tracks = []engine.Tracked{{Source: "check", Name: "haproxy", Weight: -20}}
			vipOf(doc, "inside").Tracks = []engine.Tracked{{Source: "check", Name: "haproxy", Weight: 20}}
		}},
		"watched-down": {"api", func(doc *control.StatusDocument) {
			c := &doc.Checks[0]
			c.Type, c.Watched, c.Rise, c.Fall, c.LastDetail = "process", true, 1, 1, "pid 812 exited"
		}},
		"member": {"api", func(doc *control.StatusDocument) { doc.Checks = append(doc.Checks, site("down", 1)) }},
		"group":  {"site", func(doc *control.StatusDocument) { doc.Checks = append(doc.Checks, site("up", 1)) }},
		"group-down": {"site", func(doc *control.StatusDocument) {
			doc.Checks = append(doc.Checks, site("down", 2))
			vipOf(doc, "web").Blockers = []engine.Blocker{blockedBy(engine.BlockedCheck, "site", "check site fails: 1 of 2 up, needs 2")}
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := controltest.Pair()
			c.change(&doc)
			e, err := control.WhyCheck(doc.Status, c.check)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("why", "check-"+name+".txt"), e.Text())
		})
	}
}

// site is a group of the checks of the pair.
func site(state string, need int) engine.CheckStatus {
	return engine.CheckStatus{
		Name: "site", Type: "group", State: state, Since: whyNow.Add(-time.Minute), Healthy: state == "up",
		LastDetail: "1 of 2 up, needs " + string(rune('0'+need)) + ": api down, haproxy up",
		Group:      &engine.GroupStatus{Members: []string{"api", "haproxy"}, Need: need},
	}
}

// TestRunOfGroup: a group cannot be run.
func TestRunOfGroup(t *testing.T) {
	t.Parallel()
	d := pair()
	d.Doc.Checks = append(d.Doc.Checks, site("up", 1))
	client, _, _ := serve(t, d, control.Options{})
	_, err := client.RunCheck(soon(t), "site")
	wantProblem(t, err, control.ProblemRefused, "site is a group of checks and has no probe", "vipd why site")
}

// TestWhyUnknown names what there is.
func TestWhyUnknown(t *testing.T) {
	t.Parallel()
	doc := controltest.Pair()
	_, err := control.Why(doc.Status, "wbe")
	wantProblem(t, err, control.ProblemNotFound, `no vip is named "wbe"`, "there is inside, mail, web")
	_, err = control.WhyCheck(doc.Status, "web")
	wantProblem(t, err, control.ProblemNotFound, `no check is named "web"`, "there is api, haproxy")
	_, err = control.Why(engine.Status{}, "web")
	wantProblem(t, err, control.ProblemNotFound, `no vip is named "web"`, "the configuration has no vip")
}

// TestAge writes how long ago something was.
func TestAge(t *testing.T) {
	t.Parallel()
	cases := map[time.Duration]string{
		-time.Second:                    "0ms",
		0:                               "0ms",
		900 * time.Microsecond:          "900µs",
		140 * time.Millisecond:          "140ms",
		999999 * time.Microsecond:       "999ms",
		time.Second:                     "1s",
		59900 * time.Millisecond:        "59s",
		time.Minute:                     "1m",
		59*time.Minute + 59*time.Second: "59m",
		time.Hour:                       "1h",
		2*time.Hour + 9*time.Minute:     "2h 9m",
		24 * time.Hour:                  "1d",
		292 * time.Hour:                 "12d 4h",
		(292*60 + 59) * time.Minute:     "12d 4h",
	}
	for d, want := range cases {
		if got := control.Age(d); got != want {
			t.Errorf("Age(%d) = %q, want %q", d, got, want)
		}
	}
}
