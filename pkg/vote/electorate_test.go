package vote

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestElectorate: who votes, and how many votes are a majority.
func TestElectorate(t *testing.T) {
	t.Parallel()
	rack3, rack4 := Witness{Name: "rack3"}, Witness{Name: "rack4"}
	etcd := Witness{Name: "etcd", Etcd: true}
	for name, test := range map[string]struct {
		peers     string
		witnesses []Witness
		want      string
		need      int
	}{
		"a pair and a witness":          {"lb2", []Witness{rack3}, "lb1* lb2* rack3", 2},
		"the own name among the peers":  {"lb2 lb1", []Witness{rack3}, "lb1* lb2* rack3", 2},
		"a pair and two witnesses":      {"lb0", []Witness{rack4, rack3}, "lb0* lb1* rack3 rack4", 3},
		"three hosts":                   {"lb2 lb3", nil, "lb1* lb2* lb3*", 2},
		"four hosts and a witness":      {"lb2 lb3 lb4", []Witness{rack3}, "lb1* lb2* lb3* lb4* rack3", 3},
		"a pair and an etcd":            {"lb2", []Witness{etcd}, "lb1* lb2* etcd", 2},
		"three hosts and an etcd":       {"lb2 lb3", []Witness{rack3, etcd}, "etcd", 1},
		"hosts that know of no others":  {"", []Witness{etcd}, "etcd", 1},
		"a host that knows of no other": {"", []Witness{rack3}, "lb1* rack3", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Electorate("lb1", strings.Fields(test.peers), test.witnesses, 250*ms, 100*ms)
			var got []string
			for _, v := range c.Voters {
				word := v.Name
				if v.Host {
					word += "*"
				}
				got = append(got, word)
			}
			if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" || c.need() != test.need {
				t.Errorf("needs %d, want %d (-want +got)\n%s", c.need(), test.need, diff)
			}
		})
	}
}

// TestTTL: two renewals in a row may be lost, and the third still comes while the
// kernel's lease may be refreshed; and no longer than it takes.
func TestTTL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ lease, every, want time.Duration }{
		{250 * ms, 100 * ms, 851 * ms},
		{75 * ms, 30 * ms, 291 * ms},
		{2500 * ms, time.Second, 8059 * ms},
		{2 * time.Second, 100 * ms, 4355 * ms},
	} {
		got := AutoTTL(test.lease, test.every)
		counted := got - got*margin/1e6
		if least := 2*test.lease + 3*test.every + wait; got != test.want || counted < least || counted > least+2*ms {
			t.Errorf("lease %s, every %s: %s, want %s; of it count %s, needed %s", test.lease, test.every, got, test.want, counted, least)
		}
	}
	etcd := Electorate("lb1", nil, []Witness{{Name: "etcd", Etcd: true}}, 250*ms, 100*ms).Voters[0]
	slow := Electorate("lb1", nil, []Witness{{Name: "etcd", Etcd: true}}, 2500*ms, time.Second).Voters[0]
	if got := fmt.Sprint(etcd.TTL, etcd.Every, slow.TTL, slow.Every); got != "5s 1s 9s 1s" {
		t.Errorf("etcd: %s", got)
	}
}
