package speaker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/pkg/bgp"
)

var comparers = cmp.Options{
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

func fullRoute() bgp.Route {
	return bgp.Route{Prefix: netip.MustParsePrefix("2001:db8::53/128"), NextHop: netip.MustParseAddr("2001:db8::1"), Attributes: bgp.Attributes{
		MED: 4294967295, LocalPref: 200, Prepend: 10,
		Communities: []bgp.Community{bgp.NoExport, 1}, Large: []bgp.LargeCommunity{{Global: 1, Local1: 2, Local2: 3}},
	}}
}

func messages() []message {
	return []message{
		{Hello: &hello{Protocol: protocol, Heartbeat: time.Second, Kept: true}},
		{Beat: true},
		{Config: &bgp.Config{LocalAS: 4200000000, RouterID: netip.MustParseAddr("10.0.0.1"), ListenPort: -1, GracefulRestart: time.Minute, Neighbors: map[string]bgp.Neighbor{
			"a": {Address: netip.MustParseAddr("fe80::1%eth0"), RemoteAS: 1, Source: netip.MustParseAddr("10.0.0.2"), Passive: true, HoldTime: 9 * time.Second,
				Password: "\x00\xff \"", TTLSecurity: 1, Families: []bgp.Family{bgp.IPv4}, MaxPrefixes: 7, BFD: &bgp.BFD{Transmit: 1, Receive: 2, Multiplier: 3}},
		}}},
		{Table: &tableMessage{Seq: 1 << 63, Whole: true, More: true, Changes: []bgp.Change{
			{Neighbor: "a", Withdraw: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Announce: []bgp.Route{fullRoute()}},
		}}},
		{Leave: &leave{Text: "ünïcode", Keep: true}},
		{Session: &bgp.Session{Neighbor: "a", State: bgp.Established, Address: netip.MustParseAddr("10.0.0.1"), RemoteAS: 1, BFD: "up", Announced: 3, LastError: "x", Flaps: 9}},
		{Announced: &announcedMessage{Seq: 3, Count: 4}},
		{Again: "why"},
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	var all bytes.Buffer
	for _, m := range messages() {
		b, err := encode(m)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	l := newLines(&all)
	for _, want := range messages() {
		got, err := l.next()
		if err != nil {
			t.Fatal(err)
		}
		if want.Config != nil { // JSON has no bytes that are no text; the core refuses such passwords
			a := want.Config.Neighbors["a"]
			a.Password = "\x00� \""
			want.Config.Neighbors["a"] = a
		}
		if d := cmp.Diff(want, got, comparers); d != "" {
			t.Errorf("message (-want +got):\n%s", d)
		}
	}
	if _, err := l.next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	announce := func(route string) string {
		return `{"table":{"Seq":1,"Changes":[{"Neighbor":"a","Announce":[` + route + `]}]}}`
	}
	for _, c := range []struct{ name, line, want string }{
		{"nothing", "", "decode a message: an empty line"},
		{"no JSON", "hello", "decode a message: invalid character 'h' looking for beginning of value"},
		{"no object", "[]", "decode a message: json: cannot unmarshal array into Go value of type speaker.message"},
		{"empty", "{}", "decode a message: 0 in one"},
		{"two in one", `{"beat":true,"again":"x"}`, "decode a message: 2 in one"},
		{"two on a line", `{"beat":true}{"beat":true}`, "decode a message: more than one on a line"},
		{"rest", `{"beat":true} x`, "decode a message: more than one on a line"},
		{"unknown field", `{"beat":true,"grpc":1}`, `decode a message: json: unknown field "grpc"`},
		{"too long", strings.Repeat("x", maxLine+1), "decode a message: a line of more than 1048576 bytes"},
		{"no prefix", announce(`{}`), "decode a table: invalid Prefix is no prefix"},
		{"host bits", announce(`{"Prefix":"192.0.2.1/24"}`), "decode a table: 192.0.2.1/24 is no prefix"},
		{"bad prefix", announce(`{"Prefix":"192.0.2.1/33"}`), "decode a message: netip.ParsePrefix(\"192.0.2.1/33\"): prefix length out of range"},
		{"next hop of the other family", announce(`{"Prefix":"192.0.2.1/32","NextHop":"2001:db8::1"}`), "decode a table: 2001:db8::1 is no next hop for 192.0.2.1/32"},
		{"next hop 0.0.0.0", announce(`{"Prefix":"192.0.2.1/32","NextHop":"0.0.0.0"}`), "decode a table: 0.0.0.0 is no next hop for 192.0.2.1/32"},
		{"prepend", announce(`{"Prefix":"192.0.2.1/32","Attributes":{"Prepend":11}}`), "decode a table: 192.0.2.1/32: prepend 11 is outside 0–10"},
		{"withdraw of nothing", `{"table":{"Changes":[{"Withdraw":[""]}]}}`, "decode a table: invalid Prefix is no prefix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLines(strings.NewReader(c.line + "\n" + `{"beat":true}` + "\n"))
			_, err := l.next()
			if bad := (errLine{}); !errors.As(err, &bad) || err.Error() != c.want {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if m, err := l.next(); err != nil || !m.Beat {
				t.Errorf("the next line: %+v %v", m, err)
			}
		})
	}
}

// However many routes there are, each line is short enough, and together they
// are the table.
func TestSplit(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, maxPerLine - 1, maxPerLine, maxPerLine + 1, 3*maxPerLine + 7} {
		want := bgp.Table{}
		for i := range n {
			r := fullRoute()
			r.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)
			r.NextHop = netip.Addr{}
			name := fmt.Sprint("tor", i%3)
			want[name] = append(want[name], r)
		}
		var p partial
		known := false
		for i, m := range split(7, true, bgp.Diff(nil, want)) {
			b, err := encode(m)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if !p.add(*got.Table, known) {
				t.Fatalf("%d routes: part %d does not fit", n, i)
			}
			known = !got.Table.More
		}
		changes, whole := p.take()
		if !known || !whole {
			t.Errorf("%d routes: complete %t, whole %t", n, known, whole)
		}
		if d := cmp.Diff(want, bgp.Table{}.Apply(changes), comparers); d != "" {
			t.Errorf("%d routes (-want +got):\n%s", n, d)
		}
	}
}

func TestPartial(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		known bool
		parts []tableMessage
		want  bool
	}{
		{"changes of a known table", true, []tableMessage{{Seq: 1}}, true},
		{"changes of an unknown table", false, []tableMessage{{Seq: 1}}, false},
		{"the second half of a table", false, []tableMessage{{Seq: 1, Whole: true, More: true}, {Seq: 1}}, true},
		{"halves of two tables", true, []tableMessage{{Seq: 1, More: true}, {Seq: 2}}, false},
		{"a new whole table instead of the second half", true, []tableMessage{{Seq: 1, More: true}, {Seq: 2, Whole: true}}, true},
	} {
		var p partial
		got := true
		for _, m := range c.parts {
			got = p.add(m, c.known)
		}
		if got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

func FuzzLines(f *testing.F) {
	for _, m := range messages() {
		b, err := encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("{}\n[]\n\n\x00\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		l := newLines(bytes.NewReader(in))
		for {
			m, err := l.next()
			if bad := (errLine{}); errors.As(err, &bad) {
				continue
			}
			if err != nil {
				return
			}
			b, err := encode(m)
			if err != nil {
				continue // longer in our words than in theirs
			}
			again, err := decode(b)
			if err != nil {
				t.Fatalf("%s: %v", b, err)
			}
			if d := cmp.Diff(m, again, comparers); d != "" {
				t.Fatal(d)
			}
		}
	})
}
