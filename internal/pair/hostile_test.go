package pair

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/testenv"
)

// TestWrongKey: hosts with different keys do not hear each other, and both see
// why. With the right one they do, without a restart.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	wrong := l.config(2, front)
	wrong.Key = bytes.Repeat([]byte("k"), 32)
	one, two := l.open(t, 1, l.config(1, front)), l.open(t, 2, wrong)
	testenv.Eventually(t, within, "both refuse the other's key", func() bool {
		one.Send(state(1, 1))
		two.Send(state(1, 1))
		return one.Counters().Peers["lb2"].Refused[pair.CauseKey] > 2 && two.Counters().Peers["lb1"].Refused[pair.CauseKey] > 2
	})
	if n := len(one.told()) + len(two.told()); n > 0 {
		t.Errorf("%d messages were told", n)
	}
	must(t, two.Set(l.config(2, front)))
	meet(t, one, two)
}

// TestReplay throws all that was ever said back at hosts of which either has been
// started anew: nothing of it is told, and both still hear what is new.
func TestReplay(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	one, two := l.open(t, 1, l.config(1, front)), l.open(t, 2, l.config(2, front))
	recorded := record(t, l.hosts[1], front(1), front(2))
	seq := uint64(1)
	for _, restart := range []func(){
		func() {},
		func() { one.stop(); one = l.open(t, 1, l.config(1, front)) },
		func() { two.stop(); two = l.open(t, 2, l.config(2, front)) },
		func() {
			one.stop()
			two.stop()
			one, two = l.open(t, 1, l.config(1, front)), l.open(t, 2, l.config(2, front))
		},
	} {
		for range 5 {
			seq++
			one.tell(t, state(seq, 30), two)
			two.tell(t, state(seq, 30), one)
		}
		testenv.Eventually(t, within, "the tap has something", func() bool { return len(recorded()) > 0 })
		all := recorded()
		restart()
		// Before anything is known, and then beside what is true.
		for range 2 {
			before, heard := two.Counters(), len(two.told())
			throw(t, l.hosts[0], front(2), all...)
			testenv.Eventually(t, within, fmt.Sprintf("all %d recordings are refused", len(all)), func() bool {
				c := two.Counters()
				refused := c.Refused[pair.CauseReplay] + c.Refused[pair.CauseChallenge] - before.Refused[pair.CauseReplay] - before.Refused[pair.CauseChallenge]
				return refused >= uint64(len(all))
			})
			for _, h := range two.told()[heard:] { // greetings, at most
				if len(h.State.VIPs) > 0 || h.Boot != one.Boot() {
					t.Fatalf("a recording was told: %+v", h)
				}
			}
			seq++
			one.tell(t, state(seq, 30), two)
			two.tell(t, state(seq, 30), one)
		}
	}
}

// TestForeign throws messages at hosts that they were not meant for.
func TestForeign(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	one, two, three := l.open(t, 1, l.config(1, front)), l.open(t, 2, l.config(2, front)), l.open(t, 3, l.config(3, front))
	recorded := record(t, l.hosts[1], front(1), front(2))
	meet(t, one, two)
	meet(t, one, three)
	meet(t, two, three)
	testenv.Eventually(t, within, "the tap has something", func() bool { return len(recorded()) > 0 })
	all := recorded()
	throw(t, l.hosts[1], front(1), all...)
	one.refused(t, pair.CauseReflected, uint64(len(all)))
	throw(t, l.hosts[0], front(3), all...)
	three.refused(t, pair.CauseReceiver, uint64(len(all)))
	if n := three.Counters().Peers["lb1"].Refused[pair.CauseReceiver]; n != uint64(len(all)) {
		t.Errorf("%d of %d are counted for lb1", n, len(all))
	}
	meet(t, one, two)
}

// TestGarbage throws everything at a host that is not a message. It has a cause
// each, and the channel works on.
func TestGarbage(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	one, two := l.open(t, 1, l.config(1, front)), l.open(t, 2, l.config(2, front))
	meet(t, one, two)
	header := pair.Header{Type: pair.TypeState, From: "lb1", To: "lb2", Boot: one.Boot(), Seq: 1 << 40, Echo: pair.Echo{Boot: two.Boot(), Seq: 1}}
	next := func(change func(h *pair.Header)) []byte {
		header.Seq++
		h := header
		change(&h)
		return sealed(t, secret, h, "not a state")
	}
	good := next(func(*pair.Header) {})
	other := bytes.Clone(good)
	other[4] = 2 // version
	for cause, datagrams := range map[pair.Cause][][]byte{
		pair.CauseOversized: {bytes.Repeat([]byte("x"), pair.MaxDatagram+1), make([]byte, 9000)},
		pair.CauseMalformed: {nil, []byte("x"), []byte(strings.Repeat("VIPD", 50)), next(func(*pair.Header) {})},
		pair.CauseTruncated: {good[:len(good)-1], good[:10]},
		pair.CauseKey:       {other, sealed(t, bytes.Repeat([]byte("k"), 32), header, "")},
		pair.CausePeer:      {next(func(h *pair.Header) { h.From = "lb7" })},
		pair.CauseType:      {next(func(h *pair.Header) { h.Type = 18 }), next(func(h *pair.Header) { h.Type = 0 })},
	} {
		before := two.Counters().Refused[cause]
		throw(t, l.hosts[0], front(2), datagrams...)
		two.refused(t, cause, before+uint64(len(datagrams)))
	}
	if v := two.Counters().Peers["lb1"].Version; v != 0 {
		t.Errorf("lb1 is said to speak version %d", v)
	}
	// The process that sealed so much is believed up to those numbers.
	one.stop()
	meet(t, l.open(t, 1, l.config(1, front)), two)
}

// TestVersion: a host of another version is not heard, and is known by name.
func TestVersion(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	one, two := l.open(t, 1, l.config(1, front)), l.open(t, 2, l.config(2, front))
	b := sealed(t, secret, pair.Header{Type: pair.TypeState, From: "lb1", To: "lb2", Boot: 1, Seq: 1}, "")
	b[4] = 2
	mac := hmac.New(sha256.New, secret)
	mac.Write(b[:len(b)-mac.Size()])
	throw(t, l.hosts[0], front(2), mac.Sum(b[:len(b)-mac.Size()]))
	two.refused(t, pair.CauseVersion, 1)
	if p := two.Counters().Peers["lb1"]; p.Version != 2 || p.Refused[pair.CauseVersion] != 1 {
		t.Errorf("lb1 is %+v", p)
	}
	meet(t, one, two)
	if p := two.Counters().Peers["lb1"]; p.Version != 0 {
		t.Errorf("after an upgrade lb1 is %+v", p)
	}
}

// TestOverflow: what comes while nobody reads, and is too much, is counted.
func TestOverflow(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	var two *Channel
	must(t, l.hosts[1].NS.Do(func() (err error) {
		two, err = Open(l.config(2, front), slog.New(slog.DiscardHandler))
		return err
	}))
	defer func() { must(t, two.Close()) }()
	flood := slices.Repeat([][]byte{make([]byte, pair.MaxDatagram)}, 2000)
	testenv.Eventually(t, within, "the buffer is full", func() bool {
		throw(t, l.hosts[0], front(2), flood...)
		return two.Counters().Refused[pair.CauseOverflow] > 0
	})
}
