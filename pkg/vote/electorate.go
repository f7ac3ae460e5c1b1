package vote

import (
	"slices"
	"strings"
	"time"
)

// wait is for answers that are on their way when a vote is renewed.
const wait = 50 * time.Millisecond

// AutoTTL is how long a vote must be promised so that two lost renewals in a row do
// no harm: the kernel's lease may be refreshed while two of it are left, and the
// third renewal, and its answer, must come before. It is in whole milliseconds.
//
//	  asked  lost  lost  asked, answered
//	──┼──────┼─────┼─────┼─┼──────────────┼
//	  │◀──── 3 every ───▶│ │◀── 2 lease ─▶│
//	  │◀───────────────── TTL ───────────▶│
func AutoTTL(lease, every time.Duration) time.Duration {
	ttl := 2*lease + 3*every + wait
	return (ttl + ttl*margin/1e6 + time.Millisecond).Truncate(time.Millisecond)
}

// Witness is a voter that is no host, as it is configured.
type Witness struct {
	Name    string
	Cluster string        // of its votes: hosts that vote together have the same
	TTL     time.Duration // 0 = as [AutoTTL] says
	// Etcd says that it is an etcd, which is a majority by itself: where there are
	// not two hosts it alone decides.
	Etcd bool
}

// What etcd needs: whole seconds, and time for an election of its own.
const (
	etcdLeastTTL = 5 * time.Second
	etcdMostWait = time.Second // between renewals
)

// Electorate says who votes on a VIP: the hosts, which are self and peers, and the
// witnesses; but an etcd alone where there are not two hosts. lease is how long a
// refresh of the kernel's lease lasts, every the Advertisement_Interval. All hosts
// come to the same voters, in the same order.
func Electorate(self string, peers []string, witnesses []Witness, lease, every time.Duration) Config {
	cfg := Config{Self: self, Lease: lease}
	auto := AutoTTL(lease, every)
	hosts := append(slices.DeleteFunc(slices.Clone(peers), func(s string) bool { return s == self }), self)
	slices.Sort(hosts)
	cfg.Rank = slices.Index(hosts, self)
	for _, w := range witnesses {
		if w.Etcd && len(hosts) != 2 {
			cfg.Voters = []Voter{w.voter(lease, every)}
			return cfg
		}
	}
	for _, name := range hosts {
		cfg.Voters = append(cfg.Voters, Voter{Name: name, Host: true, TTL: auto, Every: every})
	}
	for _, w := range slices.SortedFunc(slices.Values(witnesses), func(a, b Witness) int { return strings.Compare(a.Name, b.Name) }) {
		cfg.Voters = append(cfg.Voters, w.voter(lease, every))
	}
	return cfg
}

func (w Witness) voter(lease, every time.Duration) Voter {
	v := Voter{Name: w.Name, TTL: w.TTL, Every: every}
	if v.TTL == 0 {
		v.TTL = AutoTTL(lease, every)
		if w.Etcd {
			v.TTL = max(etcdLeastTTL, (v.TTL + time.Second - 1).Truncate(time.Second))
		}
	}
	if w.Etcd { // which writes each renewal to its disks
		v.Every = max(every, min(etcdMostWait, (v.TTL-2*lease-wait)/3))
	}
	return v
}
