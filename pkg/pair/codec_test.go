package pair

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	byAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	empty  = cmpopts.EquateEmpty()
)

var sample = State{
	Seq: 5,
	VIPs: []VIP{{
		Name: "web", Role: Active, Held: true, Epoch: 3, Priority: 150, Eligible: true,
		Source: netip.MustParseAddr("192.0.2.2"), Interval: time.Second, Asks: true, Offer: "lb2",
	}, {
		Name: "mail", Role: Standby, Epoch: 1 << 40, Priority: 90, Blocker: "check smtp: no answer",
		Source: netip.MustParseAddr("fe80::2"), Interval: 40950 * time.Millisecond,
	}},
	Hears: []Hears{{
		Node: "lb2", Boot: 0xa1a2a3a4a5a6a7a8, Seq: 4,
		Paths: []Path{{netip.MustParseAddr("192.0.2.3"), 12 * time.Millisecond}, {netip.MustParseAddr("2001:db8::3"), time.Minute}},
	}},
}

// told is s as it is told and put together again.
func told(t testing.TB, s *State) (State, []Part) {
	t.Helper()
	var parts Parts
	must(t, parts.Encode(s))
	var in Inbox
	var sum State
	var list []Part
	for i := range parts.Len() {
		if n := len(parts.At(i)); n > MaxPayload {
			t.Errorf("part %d has %d octets", i, n)
		}
		p, err := ParsePart(parts.At(i))
		must(t, err)
		list = append(list, p)
		got, whole, ok := in.Add(1, p)
		if last := i == parts.Len()-1; !ok || whole != last || (got.Config != nil) != (last && s.Config != nil) {
			t.Errorf("part %d of %d: whole %t, ok %t, config %v", i+1, parts.Len(), whole, ok, got.Config)
		}
		sum.Seq, sum.Config = got.Seq, got.Config
		sum.VIPs = append(sum.VIPs, got.VIPs...)
		sum.Hears = append(sum.Hears, got.Hears...)
	}
	return sum, list
}

// large is a State that needs many parts.
func large(vips int) State {
	s := State{Seq: 1 << 50}
	for i := range vips {
		v := sample.VIPs[i%2]
		v.Name = fmt.Sprintf("vip-%d", i)
		s.VIPs = append(s.VIPs, v)
	}
	for i := range 3 {
		h := sample.Hears[0]
		h.Node = fmt.Sprintf("lb%d", i)
		s.Hears = append(s.Hears, h)
	}
	return s
}

func config(keys int) map[string]string {
	m := map[string]string{}
	for i := range keys {
		m[fmt.Sprintf("vip.vip-%d.vrid", i)] = fmt.Sprint(i)
	}
	return m
}

func TestState(t *testing.T) {
	t.Parallel()
	withConfig := sample
	withConfig.Config = map[string]string{"vip.web.vrid": "51", "vip.web.notify": ""}
	everything := large(255)
	everything.Config = config(2000)
	noKeys := State{Config: map[string]string{}}
	longest := State{VIPs: []VIP{{
		Name: strings.Repeat("n", MaxName), Offer: strings.Repeat("o", MaxName), Blocker: strings.Repeat("b", MaxBlocker),
		Source: netip.MustParseAddr("2001:db8::1"), Priority: 255, Epoch: 1<<64 - 1,
	}}}
	for name, test := range map[string]struct {
		state        State
		parts, extra int
	}{
		"nothing": {State{}, 1, 0},
		"sample":  {sample, 1, 0},
		"config":  {withConfig, 1, 1},
		"no keys": {noKeys, 1, 1},
		"longest": {longest, 1, 0},
		"255":     {large(255), 14, 0},
		"all":     {everything, 14, 51},
	} {
		got, list := told(t, &test.state)
		if diff := cmp.Diff(test.state, got, byAddr, empty); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		if p := list[0]; p.Parts != test.parts || p.ConfigParts != test.extra || len(list) != test.parts+test.extra {
			t.Errorf("%s: %d and %d parts, %d in all, want %d and %d", name, p.Parts, p.ConfigParts, len(list), test.parts, test.extra)
		}
	}
}

// TestCut: what is only there to be read is cut to fit, and nothing of it can
// hurt a terminal.
func TestCut(t *testing.T) {
	t.Parallel()
	s := State{
		VIPs: []VIP{
			{Name: "long", Blocker: strings.Repeat("ä", 50)},
			{Name: "odd", Blocker: "check said\x1b[31m\nno\xff"},
			{Name: "mapped", Source: netip.MustParseAddr("::ffff:192.0.2.1"), Interval: -time.Second},
			{Name: "zoned", Source: netip.MustParseAddr("fe80::1%eth0"), Interval: 1500 * time.Microsecond},
		},
		Hears:  []Hears{{Node: "lb2", Paths: make([]Path, MaxPaths+1)}},
		Config: map[string]string{"key": strings.Repeat("v", 300), "lines": "a\nb"},
	}
	s.Hears[0].Paths[0] = Path{Address: netip.MustParseAddr("10.0.0.1"), Age: time.Hour}
	s.Hears[0].Paths[1] = Path{Address: netip.MustParseAddr("10.0.0.2"), Age: -time.Hour}
	want := State{
		VIPs: []VIP{
			{Name: "long", Blocker: strings.Repeat("ä", 40)},
			{Name: "odd", Blocker: "check said [31m no?"},
			{Name: "mapped", Source: netip.MustParseAddr("192.0.2.1")},
			{Name: "zoned", Source: netip.MustParseAddr("fe80::1"), Interval: time.Millisecond},
		},
		Hears: []Hears{{Node: "lb2", Paths: make([]Path, MaxPaths)}},
		Config: map[string]string{
			"key":   strings.Repeat("v", 173) + "… sha256:f394ee6ce7021f49",
			"lines": "a b… sha256:7e18f737311b2dc3",
		},
	}
	want.Hears[0].Paths[0] = Path{Address: netip.MustParseAddr("10.0.0.1"), Age: maxAge}
	want.Hears[0].Paths[1] = Path{Address: netip.MustParseAddr("10.0.0.2")}
	got, _ := told(t, &s)
	if diff := cmp.Diff(want, got, byAddr, empty); diff != "" {
		t.Errorf("told (-want +got)\n%s", diff)
	}
}

func TestTold(t *testing.T) {
	t.Parallel()
	a := strings.Repeat("192.0.2.10/24, ", 50)
	for _, v := range []string{"", "51", a, a + "x", "line\nline", strings.Repeat("ä", 200)} {
		short := Told(v)
		if len(short) > MaxValue || !printable(short) || Told(short) != short {
			t.Errorf("%q is told as %q", v, short)
		}
	}
	if Told(a) == Told(a+"x") || Told("a\nb") == Told("a b") {
		t.Error("two values are told alike")
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxName+1)
	for name, s := range map[string]State{
		"no name":    {VIPs: []VIP{{}}},
		"long name":  {VIPs: []VIP{{Name: long}}},
		"odd name":   {VIPs: []VIP{{Name: "a\nb"}}},
		"long offer": {VIPs: []VIP{{Name: "web", Offer: long}}},
		"no node":    {Hears: []Hears{{}}},
		"no key":     {Config: map[string]string{"": ""}},
		"long key":   {Config: map[string]string{strings.Repeat("k", MaxKey+1): ""}},
		"too much":   large(20000),
	} {
		var parts Parts
		if err := parts.Encode(&s); err == nil || parts.Len() != 0 {
			t.Errorf("%s: encoded into %d parts, %v", name, parts.Len(), err)
		}
	}
}

// payload is one part, written by hand.
func payload(number, parts, configParts byte, items ...string) []byte {
	return []byte("\x00\x00\x00\x00\x00\x00\x00\x05\x00" + string(number) + "\x00" + string(parts) + "\x00" + string(configParts) + strings.Join(items, ""))
}

// Parts as a newer host of the same version may write them: a kind of item, and after the
// last field of each item something, that are not known here.
var (
	newerVIP    = "\x01\x00\x19\x03web\x02\xff\x64" + "\x00\x00\x00\x00\x00\x00\x00\x01" + "\x00\x00\x03\xe8" + "\x00" + "\x00" + "\x00" + "new"
	newerHears  = "\x02\x00\x18\x03lb2" + "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02" + "\x00" + "new"
	newerConfig = "\x03\x00\x09\x03key\x01v" + "new"
	newerKind   = "\x09\x00\x03new"
)

// TestNewer: what a newer host may add is skipped.
func TestNewer(t *testing.T) {
	t.Parallel()
	p, err := ParsePart(payload(1, 1, 1, newerKind, newerVIP, newerKind, newerHears))
	must(t, err)
	want := State{
		Seq: 5, VIPs: []VIP{{Name: "web", Role: Active, Held: true, Eligible: true, Asks: true, Priority: 100, Epoch: 1, Interval: time.Second}},
		Hears: []Hears{{Node: "lb2", Boot: 1, Seq: 2}},
	}
	if diff := cmp.Diff(want, p.State, byAddr); diff != "" {
		t.Errorf("read (-want +got)\n%s", diff)
	}
	p, err = ParsePart(payload(2, 1, 1, newerConfig, newerKind))
	must(t, err)
	if diff := cmp.Diff(State{Seq: 5, Config: map[string]string{"key": "v"}}, p.State, byAddr); diff != "" {
		t.Errorf("configuration (-want +got)\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"nothing":       nil,
		"short head":    payload(1, 1, 0)[:13],
		"number 0":      payload(0, 1, 0),
		"no parts":      payload(1, 0, 1),
		"number 3 of 2": payload(3, 1, 1),
		"short item":    payload(1, 1, 0, "\x01\x00\x09web"),
		"item cut":      payload(1, 1, 0, "\x01\x00"),
		"fields cut":    payload(1, 1, 0, "\x01\x00\x04\x03web"),
		"no name":       payload(1, 1, 0, "\x02\x00\x12\x00"+strings.Repeat("\x00", 17)),
		"paths":         payload(1, 1, 0, "\x02\x00\x15\x03lb2"+strings.Repeat("\x00", 16)+"\xff"),
		"address":       payload(1, 1, 0, "\x02\x00\x18\x03lb2"+strings.Repeat("\x00", 16)+"\x01\x05\x00\x00"),
		"escape":        payload(2, 1, 1, "\x03\x00\x05\x03a\x1bb\x00"),
		"role": payload(1, 1, 0, "\x01\x00\x16\x03web\x03\x00\x64"+
			"\x00\x00\x00\x00\x00\x00\x00\x01"+"\x00\x00\x03\xe8"+"\x00\x00\x00"),
	} {
		if p, err := ParsePart(b); err == nil {
			t.Errorf("%s: read as %+v", name, p)
		}
	}
}

// TestInbox: parts come twice, out of order, over several sendings, and of older
// States.
func TestInbox(t *testing.T) {
	t.Parallel()
	part := func(seq uint64, number, parts, configParts int) Part {
		p := Part{State: State{Seq: seq}, Number: number, Parts: parts, ConfigParts: configParts}
		if number > parts {
			p.State.Config = map[string]string{fmt.Sprint(number): fmt.Sprint(seq)}
		}
		return p
	}
	var in Inbox
	for i, step := range []struct {
		boot      uint64
		part      Part
		whole, ok bool
		config    map[string]string
	}{
		{7, part(5, 2, 3, 0), false, true, nil},
		{7, part(5, 2, 3, 0), false, true, nil},
		{7, part(5, 3, 3, 0), false, true, nil},
		{7, part(4, 1, 1, 0), false, false, nil}, // older
		{7, part(5, 1, 3, 0), true, true, nil},
		{7, part(5, 1, 3, 0), true, true, nil}, // said again
		{7, part(5, 1, 3, 2), false, true, nil},
		{7, part(5, 5, 3, 2), false, true, nil},
		{7, part(5, 2, 3, 0), true, true, nil},
		{7, part(5, 4, 3, 2), true, true, map[string]string{"4": "5", "5": "5"}},
		{7, part(5, 4, 3, 2), true, true, nil},                         // said again
		{7, part(5, 4, 3, 1), true, true, map[string]string{"4": "5"}}, // told anew
		{7, part(6, 1, 2, 1), false, true, nil},
		{7, part(6, 3, 2, 1), false, true, nil},
		{7, part(6, 2, 2, 1), true, true, map[string]string{"3": "6"}},
		{8, part(1, 1, 2, 0), false, true, nil}, // restarted: its numbers begin anew
		{8, part(1, 2, 2, 0), true, true, nil},
		{8, part(1, 1, MaxParts, MaxParts), false, true, nil},
		{8, part(1, 2*MaxParts, MaxParts, MaxParts), false, true, nil},
	} {
		s, whole, ok := in.Add(step.boot, step.part)
		if whole != step.whole || ok != step.ok || !maps.Equal(s.Config, step.config) || (s.Config == nil) != (step.config == nil) {
			t.Errorf("step %d: whole %t, ok %t, config %v, want %t, %t, %v", i, whole, ok, s.Config, step.whole, step.ok, step.config)
		}
	}
}
