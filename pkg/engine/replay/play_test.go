package replay_test

import (
	"bytes"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/replay"
	"github.com/vipd/vipd/pkg/engine/sim"
)

// pair is a world of two hosts and what is recorded of the first.
func pair(t testing.TB, seed uint64) (w *sim.World, recorded *bytes.Buffer) {
	t.Helper()
	w, recorded = sim.New(seed), &bytes.Buffer{}
	var start time.Time
	w.Record = func(host string, now time.Time, ev engine.Event, did []engine.Action) {
		if host != "lb1" {
			return
		}
		var raw []byte
		var err error
		if start.IsZero() {
			start = now
			if raw, err = replay.AppendHeader(nil, replay.Header{Version: "test", Node: host, Started: now}); err != nil {
				t.Fatal(err)
			}
		}
		s := replay.Step{At: now.Sub(start), Event: ev}
		for _, a := range did {
			if r, ok := a.(engine.Report); ok {
				s.Records = append(s.Records, r.Record)
			}
		}
		if raw, err = replay.AppendStep(raw, s); err != nil {
			t.Fatal(err)
		}
		recorded.Write(raw)
	}
	for i, name := range []string{"lb1", "lb2"} {
		w.AddHost(name, engine.Config{
			Node: name,
			VIPs: map[string]engine.VIP{"web": {
				Interface: "eth0", VRID: 51, Version: 3, Priority: uint8(150 - 50*i), Interval: 100 * time.Millisecond, Preempt: true,
				Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")}, Track: map[string]check.Weight{"svc": {Fault: true}},
				GARP: engine.GARP{Repeat: 2, Bursts: []time.Duration{0, 200 * time.Millisecond}, Refresh: 3 * time.Second},
			}},
			Checks: map[string]check.Config{"svc": {Spec: check.TCP{Address: "127.0.0.1:80"}, Interval: 200 * time.Millisecond, Timeout: time.Second, Rise: 2, Fall: 2}},
		}, "eth0")
	}
	return w, recorded
}

// live lets a pair live through random faults.
func live(w *sim.World) {
	h := w.Host("lb1")
	for range 20 {
		switch w.Random().IntN(6) {
		case 0:
			h.SetLink("eth0", w.Random().IntN(2) > 0)
		case 1:
			h.SetCheck("svc", w.Random().IntN(2) > 0)
		case 2:
			h.Do(engine.Drain{ID: 3, Actor: engine.Actor{Name: "anna"}, For: time.Second})
		case 3:
			h.Do(engine.Failover{ID: 4, Name: "web", Actor: engine.Actor{Name: "anna"}})
		case 4:
			h.RemoveAddresses("web")
		default:
			next := h.Config()
			next.VIPs = maps.Clone(next.VIPs)
			v := next.VIPs["web"]
			v.Priority = uint8(1 + w.Random().IntN(254))
			next.VIPs["web"] = v
			h.Configure(next)
		}
		w.Run(time.Duration(w.Random().IntN(1500)) * time.Millisecond)
	}
}

// TestReplay: another engine that is given the same reports the same, and ends
// with the same status.
func TestReplay(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		w, recorded := pair(t, seed)
		live(w)
		r, err := replay.NewReader(recorded)
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		res, err := replay.Play(r, 0, func(r engine.Record) { texts = append(texts, r.Text) })
		if err != nil || res.Difference != nil {
			t.Fatalf("seed %d: %v, %v", seed, err, res.Difference)
		}
		if res.Events < 100 || len(texts) < 5 || !strings.Contains(texts[0], "node name lb1") {
			t.Errorf("seed %d: %d events, %d records", seed, res.Events, len(texts))
		}
		want, _ := w.Host("lb1").VIP("web")
		if got := res.Status.VIPs[0]; got.State != want.State || got.AdvertsReceived != want.AdvertsReceived || got.Reason != want.Reason {
			t.Errorf("seed %d: ends as %+v, not %+v", seed, got, want)
		}
	}
}

// TestReplayDiffers: the first record that is not as recorded is found, with its
// line, and the replay goes on.
func TestReplayDiffers(t *testing.T) {
	t.Parallel()
	w, recorded := pair(t, 1)
	w.Run(2 * time.Second)
	lines := strings.SplitAfter(recorded.String(), "\n")
	became := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `"to":"ACTIVE"`) })
	for name, tc := range map[string]struct{ old, new, want string }{
		"another text": {`"to":"ACTIVE"`, `"to":"FAULT"`, "recorded \"web: BACKUP -> ACTIVE"},
		"one less":     {`"records"`, `"recs"`, ""},
	} {
		changed := slices.Clone(lines)
		changed[became] = strings.Replace(changed[became], tc.old, tc.new, 1)
		r, err := replay.NewReader(strings.NewReader(strings.Join(changed, "")))
		if err != nil {
			t.Fatal(err)
		}
		res, err := replay.Play(r, 0, nil)
		if tc.want == "" {
			if err == nil || !strings.Contains(err.Error(), "line") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || res.Difference == nil || res.Difference.Line != became+1 || !strings.Contains(res.Difference.String(), tc.want) {
			t.Errorf("%s: %v, %v, want line %d", name, err, res.Difference, became+1)
		}
		if res.Events != len(lines)-2 {
			t.Errorf("%s: %d events of %d", name, res.Events, len(lines)-2)
		}
	}
	cut := strings.Join(lines[:became], "") + `{"t":` + strings.SplitN(lines[became][5:], ",", 2)[0] + `,"event":{"Wake":{}}}` + "\n"
	r, err := replay.NewReader(strings.NewReader(cut))
	if err != nil {
		t.Fatal(err)
	}
	if res, err := replay.Play(r, 0, nil); err != nil || res.Difference == nil || res.Difference.Recorded != nil || !strings.Contains(res.Difference.String(), "recorded nothing, replayed") {
		t.Errorf("records that were not recorded: %v, %v", err, res.Difference)
	}
}

// TestUntil ends at a time.
func TestUntil(t *testing.T) {
	t.Parallel()
	w, recorded := pair(t, 1)
	w.Run(10 * time.Second)
	r, err := replay.NewReader(recorded)
	if err != nil {
		t.Fatal(err)
	}
	res, err := replay.Play(r, time.Second, nil)
	if err != nil || res.Last > time.Second || res.Last < 800*time.Millisecond {
		t.Errorf("ended at %v, %v", res.Last, err)
	}
}

// TestSpoiled: what is no recording is refused, with the line.
func TestSpoiled(t *testing.T) {
	t.Parallel()
	w, recorded := pair(t, 1)
	w.Run(time.Second)
	lines := strings.SplitAfter(recorded.String(), "\n")
	header, rest := lines[0], strings.Join(lines[1:4], "")
	for name, tc := range map[string]struct{ text, want string }{
		"empty":           {"", "line 1: the recording is empty"},
		"garbage":         {"\x00\x01\x02\n", "line 1: this is no recording of vipd run --record"},
		"other JSON":      {`{"schema":"vipd.status/v1"}` + "\n", "line 1: a recording of schema vipd.status/v1; this vipd reads vipd.recording/v1"},
		"newer":           {strings.Replace(header, "/v1", "/v2", 1) + rest, "line 1: a recording of schema vipd.recording/v2; this vipd reads vipd.recording/v1"},
		"no start":        {`{"schema":"vipd.recording/v1"}` + "\n", "line 1: the recording does not say when it started"},
		"header cut":      {header[:20], "line 1: the recording ends in the middle of a line"},
		"cut":             {header + rest[:len(rest)-9], "line 4: the recording ends in the middle of a line"},
		"garbage later":   {header + lines[1] + "hello\n", "line 3: invalid character 'h' looking for beginning of value"},
		"empty line":      {header + lines[1] + "\n" + rest, "line 3: nothing is there"},
		"no event":        {header + lines[1] + "{}\n", "line 3: 0 events, not one"},
		"two events":      {header + lines[1] + `{"t":1,"event":{"Wake":{},"Stop":{}}}` + "\n", "line 3: 2 events, not one"},
		"unknown event":   {header + lines[1] + `{"t":1,"event":{"Dance":{}}}` + "\n", `line 3: no type of event is named "Dance"`},
		"unknown field":   {header + lines[1] + `{"t":1,"event":{"CheckDone":{"Colour":1}}}` + "\n", `line 3: CheckDone: json: unknown field "Colour"`},
		"wrong type":      {header + lines[1] + `{"t":1,"event":{"CheckDone":{"OK":"yes"}}}` + "\n", "line 3: CheckDone: json: cannot unmarshal string"},
		"two values":      {header + lines[1] + `{"t":1,"event":{"Wake":{}}} {}` + "\n", "line 3: something follows the value"},
		"time goes back":  {header + lines[1] + `{"t":9,"event":{"Wake":{}}}` + "\n" + `{"t":8,"event":{"Wake":{}}}` + "\n", "line 4: time goes back from 9ns to 8ns"},
		"no start at all": {header + `{"t":9,"event":{"Wake":{}}}` + "\n", "line 2: a recording begins with a configuration"},
		"no address":      {header + `{"t":0,"event":{"Configure":{"Config":{"VIPs":{"web":{"Interval":1,"Priority":1}}}}}}` + "\n", "line 2: vip web has no address, advert_interval or priority"},
		"no check type":   {header + `{"t":0,"event":{"Configure":{"Config":{"Checks":{"c":{}}}}}}` + "\n", "line 2: check c has no type"},
		"unknown check":   {header + `{"t":0,"event":{"Configure":{"Config":{"Checks":{"c":{"Type":"psychic"}}}}}}` + "\n", `no type of check is named "psychic"`},
	} {
		r, err := replay.NewReader(strings.NewReader(tc.text))
		if err == nil {
			_, err = replay.Play(r, 0, nil)
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
		if cut := strings.Contains(name, "cut"); cut != errors.Is(err, replay.ErrCut) {
			t.Errorf("%s: cut %v: %v", name, !cut, err)
		}
	}
}

// FuzzPlay: no file, however spoiled, ends in anything but a result or an error.
func FuzzPlay(f *testing.F) {
	w, recorded := pair(f, 1)
	live(w)
	lines := strings.SplitAfter(recorded.String(), "\n")
	f.Add([]byte(strings.Join(lines[:min(len(lines), 40)], "")))
	f.Add([]byte(lines[0]))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := replay.NewReader(bytes.NewReader(raw))
		if err != nil {
			return
		}
		res, err := replay.Play(r, 0, nil)
		if err == nil && res.Events == 0 && bytes.Count(raw, []byte("\n")) > 1 {
			t.Error("no event and no error")
		}
	})
}
