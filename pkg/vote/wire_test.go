package vote

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	someAsks = []Ask{
		{Kind: Renew, VIP: "web", Number: 3, Epoch: 7, TTL: 851 * ms},
		{Kind: Release, VIP: "m", Number: 1 << 40},
	}
	someAnswers = []Answer{
		{Kind: Granted, VIP: "web", Number: 3, Epoch: 7, Remaining: 851 * ms},
		{Kind: Refused, VIP: "web", Number: 4, Epoch: 7, Why: Promised, Owner: "lb2", Remaining: 2 * ms},
		{Kind: Released, VIP: "web", Number: 5},
		{Kind: Lost, VIP: "web", Number: 6},
	}
)

// TestWire: what is written is as drawn, and is read again.
func TestWire(t *testing.T) {
	t.Parallel()
	b := AppendCluster(nil, "blue")
	for _, a := range someAsks {
		before := len(b)
		if b = AppendAsk(b, a); len(b)-before != AskSize(a) {
			t.Errorf("%+v takes %d octets, not %d", a, len(b)-before, AskSize(a))
		}
	}
	want := strings.Join([]string{
		"04 626c7565",
		"01 0018", "03 776562", "0000000000000003", "0000000000000007", "00000353",
		"02 0016", "01 6d", "0000010000000000", "0000000000000000", "00000000",
	}, "")
	if got := hex.EncodeToString(b); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("Asks are\n%s, not\n%s", got, want)
	}
	cluster, asks, err := ParseAsks(nil, append(b, 99, 0, 2, 'x', 'y'))
	if diff := cmp.Diff(someAsks, asks); cluster != "blue" || err != nil || diff != "" {
		t.Errorf("cluster %q, %v (-want +got)\n%s", cluster, err, diff)
	}

	b = AppendCluster(nil, "")
	for _, a := range someAnswers {
		before := len(b)
		if b = AppendAnswer(b, a); len(b)-before != AnswerSize(a) {
			t.Errorf("%+v takes %d octets, not %d", a, len(b)-before, AnswerSize(a))
		}
	}
	cluster, answers, err := ParseAnswers(nil, b)
	if diff := cmp.Diff(someAnswers, answers); cluster != "" || err != nil || diff != "" {
		t.Errorf("cluster %q, %v (-want +got)\n%s", cluster, err, diff)
	}
	up := AppendAnswer(AppendCluster(nil, ""), Answer{Kind: Refused, VIP: "web", Remaining: time.Millisecond + 1})
	if _, got, _ := ParseAnswers(nil, up); got[0].Remaining != 2*ms {
		t.Errorf("1.000001ms is told as %s", got[0].Remaining)
	}
}

// newer makes the first item of a payload, behind the name of the cluster, one of a newer
// host: with more behind its last field, and an item of a kind that is not known.
func newer(b []byte, cluster string) []byte {
	at := 1 + len(cluster)
	length := binary.BigEndian.Uint16(b[at+1:])
	end := at + itemHead + int(length)
	b = slices.Insert(slices.Clone(b), end, 'n', 'e', 'w', 99, 0, 1, 'x')
	binary.BigEndian.PutUint16(b[at+1:], length+3)
	return b
}

// TestNewer: what a newer host may add is skipped.
func TestNewer(t *testing.T) {
	t.Parallel()
	b := AppendCluster(nil, "blue")
	for _, a := range someAsks {
		b = AppendAsk(b, a)
	}
	_, asks, err := ParseAsks(nil, newer(b, "blue"))
	if diff := cmp.Diff(someAsks, asks); err != nil || diff != "" {
		t.Errorf("asks: %v (-want +got)\n%s", err, diff)
	}
	b = AppendCluster(nil, "blue")
	for _, a := range someAnswers {
		b = AppendAnswer(b, a)
	}
	_, answers, err := ParseAnswers(nil, newer(b, "blue"))
	if diff := cmp.Diff(someAnswers, answers); err != nil || diff != "" {
		t.Errorf("answers: %v (-want +got)\n%s", err, diff)
	}
}

// TestWireRefuses: what is cut or has a wrong name is refused as a whole.
func TestWireRefuses(t *testing.T) {
	t.Parallel()
	good := AppendAsk(AppendCluster(nil, "blue"), someAsks[0])
	for n := range good {
		if _, asks, err := ParseAsks(nil, good[:n]); err == nil && n != len("blue")+1 {
			t.Errorf("%d of %d octets are read as %+v", n, len(good), asks)
		}
	}
	for _, name := range []string{"", "two words", "\n", strings.Repeat("x", MaxName+1)} {
		if _, _, err := ParseAsks(nil, AppendAsk(AppendCluster(nil, ""), Ask{Kind: Renew, VIP: name})); err == nil {
			t.Errorf("%q is the name of a VIP", name)
		}
		if _, _, err := ParseAnswers(nil, AppendAnswer(AppendCluster(nil, ""), Answer{Kind: Granted, VIP: "web", Owner: name})); err == nil && name != "" {
			t.Errorf("%q is the name of a host", name)
		}
	}
}

// FuzzAnswers: nothing that comes in makes the reader fall over, and what it takes
// it would write again.
func FuzzAnswers(f *testing.F) {
	b := AppendCluster(nil, "blue")
	for _, a := range someAnswers {
		b = AppendAnswer(b, a)
	}
	f.Add(b)
	f.Add(newer(b, "blue"))
	f.Add(AppendAsk(AppendCluster(nil, ""), someAsks[0]))
	f.Fuzz(func(t *testing.T, b []byte) {
		if cluster, list, err := ParseAnswers(nil, b); err == nil {
			again := AppendCluster(nil, cluster)
			for _, a := range list {
				again = AppendAnswer(again, a)
			}
			_, twice, err := ParseAnswers(nil, again)
			if diff := cmp.Diff(list, twice); err != nil || diff != "" {
				t.Errorf("%v (-first +again)\n%s", err, diff)
			}
		}
		if cluster, list, err := ParseAsks(nil, b); err == nil {
			again := AppendCluster(nil, cluster)
			for _, a := range list {
				again = AppendAsk(again, a)
			}
			_, twice, err := ParseAsks(nil, again)
			if diff := cmp.Diff(list, twice); err != nil || diff != "" {
				t.Errorf("%v (-first +again)\n%s", err, diff)
			}
		}
	})
}
