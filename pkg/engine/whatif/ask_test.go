package whatif_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
	"github.com/vipd/vipd/pkg/engine/whatif"
)

// pair is a world of two hosts, lb1 (150) Active with web and Backup with mail,
// that has come to rest.
func pair(t *testing.T) *sim.World {
	t.Helper()
	w := sim.New(7)
	vip := func(vrid, priority uint8, addr string, track map[string]check.Weight) engine.VIP {
		return engine.VIP{
			Interface: "eth0", VRID: vrid, Version: 3, Priority: priority, Interval: 100 * time.Millisecond, Preempt: true,
			Addresses: []netip.Prefix{netip.MustParsePrefix(addr)}, Track: track,
			GARP: engine.GARP{Repeat: 1, Bursts: []time.Duration{0, 100 * time.Millisecond}},
		}
	}
	for i, name := range []string{"lb1", "lb2"} {
		p := uint8(50 * i)
		w.AddHost(name, engine.Config{
			Node: name,
			VIPs: map[string]engine.VIP{
				"web":  vip(51, 150-p, "192.0.2.10/24", map[string]check.Weight{"svc": {Fault: true}}),
				"mail": vip(52, 100+p, "192.0.2.25/24", map[string]check.Weight{"db": {Delta: 60}}),
			},
			Checks: map[string]check.Config{
				"svc": {Spec: check.TCP{Address: "127.0.0.1:80"}, Interval: 500 * time.Millisecond, Timeout: 100 * time.Millisecond, Rise: 2, Fall: 2},
				"db":  {Spec: check.TCP{Address: "127.0.0.1:80"}, Interval: 500 * time.Millisecond, Timeout: 100 * time.Millisecond, Rise: 1, Fall: 3},
			},
		}, "eth0")
		w.Host(name).SetCheck("db", false)
	}
	w.Run(5 * time.Second)
	if broken := w.Broken(); len(broken) > 0 {
		t.Fatal(broken)
	}
	return w
}

// ask asks lb1.
func ask(t *testing.T, h *sim.Host, question string) whatif.Answer {
	t.Helper()
	q, err := whatif.Parse(strings.Fields(question))
	if err != nil {
		t.Fatal(err)
	}
	a, err := whatif.Ask(h.Engine().Clone(), h.Status().Now, q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// states prints the states of the VIPs of a host.
func states(h *sim.Host) string {
	mail, _ := h.VIP("mail")
	web, _ := h.VIP("web")
	return fmt.Sprintf("mail %s web %s", mail.State, web.State)
}

// TestAsk: an answer is what happens when the world really does it.
func TestAsk(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		question string
		really   func(w *sim.World, lb1, lb2 *sim.Host)
		then     string
		says     string        // the first event
		after    time.Duration // it, at least
		unknown  string
	}{
		{"link eth0 down", func(_ *sim.World, lb1, _ *sim.Host) { lb1.SetLink("eth0", false) },
			"mail FAULT web FAULT", "interface eth0 is down", 0, "whether a peer takes web over"},
		{"link eth0 up", func(_ *sim.World, lb1, _ *sim.Host) { lb1.SetLink("eth0", true) }, "mail BACKUP web ACTIVE", "", 0, ""},
		{"check svc down", func(_ *sim.World, lb1, _ *sim.Host) { lb1.SetCheck("svc", false) },
			"mail BACKUP web FAULT", "check svc: up -> down", 500 * time.Millisecond, "whether a peer takes web over"},
		{"check svc up", func(_ *sim.World, lb1, _ *sim.Host) {}, "mail BACKUP web ACTIVE", "", 0, ""},
		{"check db up", func(_ *sim.World, lb1, _ *sim.Host) { lb1.SetCheck("db", true) },
			"mail ACTIVE web ACTIVE", "check db: down -> up", 0, ""},
		{"drain web", func(_ *sim.World, lb1, _ *sim.Host) { lb1.Do(engine.Drain{Names: []string{"web"}}) },
			"mail BACKUP web INIT", "web: drained by you", 0, "whether a peer takes web over"},
		{"drain", func(_ *sim.World, lb1, _ *sim.Host) { lb1.Do(engine.Drain{}) }, "mail INIT web INIT", "mail, web: drained by you", 0, ""},
		{"undrain", func(_ *sim.World, lb1, _ *sim.Host) { lb1.Do(engine.Undrain{}) }, "mail BACKUP web ACTIVE", "", 0, ""},
		{"peer 10.0.0.1 silent", func(_ *sim.World, _, lb2 *sim.Host) { lb2.Crash() },
			"mail ACTIVE web ACTIVE", "mail: BACKUP -> ACTIVE (no advert from", 200 * time.Millisecond, "still answers for mail"},
		{"priority mail 200", func(_ *sim.World, lb1, _ *sim.Host) {
			cfg := lb1.Config()
			v := cfg.VIPs["mail"]
			v.Priority = 200
			cfg.VIPs = map[string]engine.VIP{"mail": v, "web": cfg.VIPs["web"]}
			lb1.Configure(cfg)
		}, "mail ACTIVE web ACTIVE", "configuration replaced", 0, ""},
		{"priority mail 149", func(*sim.World, *sim.Host, *sim.Host) {}, "mail BACKUP web ACTIVE", "configuration replaced", 0, ""},
	} {
		t.Run(tc.question, func(t *testing.T) {
			t.Parallel()
			w := pair(t)
			lb1, lb2 := w.Host("lb1"), w.Host("lb2")
			peer, _ := lb1.VIP("mail")
			question := strings.ReplaceAll(tc.question, "10.0.0.1", peer.Active.Address.String())
			before := states(lb1)
			if before != "mail BACKUP web ACTIVE" {
				t.Fatal(before)
			}
			a := ask(t, lb1, question)
			var told []string
			for _, o := range a.VIPs {
				told = append(told, o.Name+" "+string(o.Then))
				if !strings.Contains(before, o.Name+" "+string(o.Now)) || o.Held != (o.Then == engine.Active) {
					t.Errorf("%+v while it is %s", o, before)
				}
			}
			if got := strings.Join(told, " "); got != tc.then {
				t.Errorf("answer %s, want %s: %+v", got, tc.then, a.Events)
			}
			switch {
			case tc.says == "" && len(a.Events) > 0, tc.says != "" && len(a.Events) == 0:
				t.Errorf("events %+v", a.Events)
			case tc.says != "":
				if e := a.Events[0]; !strings.HasPrefix(e.Text, tc.says) || e.After < tc.after || e.After > tc.after+2*time.Second {
					t.Errorf("first %+v", e)
				}
			}
			if !slices.ContainsFunc(append(a.Unknown, ""), func(s string) bool { return strings.Contains(s, tc.unknown) }) {
				t.Errorf("unknown: %q", a.Unknown)
			}
			if states(lb1) != before {
				t.Errorf("the question changed the host: %s", states(lb1))
			}
			tc.really(w, lb1, lb2)
			w.Run(a.Span)
			if got := states(lb1); got != tc.then {
				t.Errorf("really %s, answered %s", got, tc.then)
			}
		})
	}
}

// TestAskMidway: what is under way when a question is asked goes on in it: a
// takeover whose addresses the kernel has not confirmed, probes that run.
func TestAskMidway(t *testing.T) {
	t.Parallel()
	w := pair(t)
	lb1 := w.Host("lb1")
	w.Host("lb2").Crash()
	if !w.RunUntil(time.Minute, func() bool { v, _ := lb1.VIP("mail"); return v.State == engine.Active && !v.Held }) {
		t.Fatal("the kernel was faster")
	}
	a := ask(t, lb1, "link eth0 up")
	if v := a.VIPs[0]; v.Name != "mail" || v.Then != engine.Active || !v.Held {
		t.Errorf("%+v", a)
	}
	a = ask(t, lb1, "check svc down")
	if v := a.VIPs[1]; v.Then != engine.Fault {
		t.Errorf("%+v", a)
	}
}

// TestFailover: nobody takes it in this world, which the answer says.
func TestFailover(t *testing.T) {
	t.Parallel()
	a := ask(t, pair(t).Host("lb1"), "failover web")
	if len(a.Events) < 3 || a.Events[0].Type != engine.RecordFailover || !strings.Contains(strings.Join(a.Unknown, "\n"), "whether a peer takes web over") {
		t.Errorf("%+v", a)
	}
}

// TestParse reads every form, and refuses the rest with the form.
func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"link eth0 down":        "interface eth0 goes down",
		"link eth0 up":          "interface eth0 goes up",
		"check svc down":        "check svc fails from now on",
		"check svc up":          "check svc passes from now on",
		"peer 192.0.2.3 silent": "192.0.2.3 falls silent",
		"peer fe80::3 silent":   "fe80::3 falls silent",
		"priority web 90":       "web gets priority 90",
		"drain":                 "everything is drained",
		"drain web mail":        "web, mail is drained",
		"undrain web":           "web is put back into service",
		"failover web":          "web is failed over",
		"":                      "error: a question is one of: check NAME down|up, drain [VIP...]",
		"dance":                 `error: no question begins with "dance": there is check`,
		"link eth0":             "error: the question is written: link NAME down|up",
		"link eth0 sideways":    "error: the question is written: link NAME down|up",
		"link eth0 down now":    "error: the question is written: link NAME down|up",
		"check svc":             "error: the question is written: check NAME down|up",
		"peer lb2 silent":       "error: the question is written: peer ADDRESS silent",
		"peer 192.0.2.3 loud":   "error: the question is written: peer ADDRESS silent",
		"priority web 255":      "error: the question is written: priority VIP 1-254",
		"priority web 0":        "error: the question is written: priority VIP 1-254",
		"priority web":          "error: the question is written: priority VIP 1-254",
		"failover":              "error: the question is written: failover VIP",
		"failover web mail":     "error: the question is written: failover VIP",
	} {
		q, err := whatif.Parse(strings.Fields(text))
		got := q.String()
		if err != nil {
			got = "error: " + err.Error()
		}
		if !strings.HasPrefix(got, want) || err == nil && got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestUnknown: a question about something that there is not says what there is.
func TestUnknown(t *testing.T) {
	t.Parallel()
	lb1 := pair(t).Host("lb1")
	for text, want := range map[string]string{
		"link eth7 down":           `no interface is named "eth7" [eth0]`,
		"check x up":               `no check is named "x" [db svc]`,
		"drain web x":              `no vip is named "x" [mail web]`,
		"priority x 3":             `no vip is named "x" [mail web]`,
		"peer 203.0.113.99 silent": `no peer is named "203.0.113.99" [`,
	} {
		q, err := whatif.Parse(strings.Fields(text))
		if err != nil {
			t.Fatal(err)
		}
		_, err = whatif.Ask(lb1.Engine().Clone(), lb1.Status().Now, q)
		var unknown *whatif.UnknownError
		if !errors.As(err, &unknown) || !strings.HasPrefix(fmt.Sprintf("%v %v", err, unknown.Known), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
