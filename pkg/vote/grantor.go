package vote

import (
	"maps"
	"time"
)

// Grantor is one voter's table of promises: that of a host, or of a witness. It
// has one vote for each VIP of each cluster.
type Grantor struct {
	max   time.Duration // longest promise
	most  int           // entries
	ready time.Time     // before it nothing is granted
	sweep time.Time     // before it there is nothing to sweep
	table map[key]promise
}

// key names a vote. Clusters have nothing to do with each other.
type key struct{ cluster, vip string }

// promise is to whom a vote is, or was, promised. What is over is kept for its
// numbers, while there is room.
type promise struct {
	owner  string
	boot   uint64 // of the owner's process
	number uint64 // of the newest Ask of it
	epoch  uint64
	until  time.Time
}

func (p promise) valid(now time.Time) bool { return now.Before(p.until) }

// NewGrantor makes a table that begins at now, promises for max at most, and has
// room for that many VIPs. A voter that has started may have promised its vote for
// max before: it sits that time out.
func NewGrantor(now time.Time, maxTTL time.Duration, most int) *Grantor {
	return &Grantor{max: maxTTL, most: most, ready: now.Add(maxTTL), table: map[key]promise{}}
}

// SetMax changes for how long votes are promised at most, from here on.
func (g *Grantor) SetMax(maxTTL time.Duration) { g.max = maxTTL }

// Ready is when the voter begins to grant.
func (g *Grantor) Ready() time.Time { return g.ready }

// Len is how many votes it keeps in mind, also of promises that are over.
func (g *Grantor) Len() int { return len(g.table) }

// Answer answers what the process with that boot number, on the host owner, asks.
// An Ask that is older than the newest one of that process has no answer.
func (g *Grantor) Answer(now time.Time, cluster, owner string, boot uint64, ask Ask) (answer Answer, ok bool) {
	k := key{cluster, ask.VIP}
	p, known := g.table[k]
	same := known && p.owner == owner && p.boot == boot
	answer = Answer{VIP: ask.VIP, Number: ask.Number, Epoch: p.epoch}
	switch {
	case same && ask.Number < p.number:
		return Answer{}, false
	case ask.Kind == Release:
		if same {
			p.number, p.until = ask.Number, now
			g.table[k] = p
		}
		answer.Kind = Released
		return answer, true
	case ask.Kind != Renew:
		return Answer{}, false
	}
	answer.Why, answer.Remaining = g.refuse(now, p, owner, ask)
	if answer.Why == 0 && !known && !g.room(now) {
		answer.Why, answer.Remaining = NoRoom, g.max
	}
	if answer.Why != 0 {
		answer.Kind = Refused
		if answer.Why == Promised {
			answer.Owner = p.owner
		}
		return answer, true
	}
	g.table[k] = promise{owner, boot, ask.Number, ask.Epoch, now.Add(ask.TTL)}
	answer.Kind, answer.Epoch, answer.Remaining = Granted, ask.Epoch, ask.TTL
	return answer, true
}

// refuse says why a vote is not promised, and until when that is so; 0 = it is.
func (g *Grantor) refuse(now time.Time, p promise, owner string, ask Ask) (Reason, time.Duration) {
	other := p.owner != "" && p.owner != owner
	switch {
	case ask.TTL <= 0 || ask.TTL > g.max:
		return TooLong, g.max
	case now.Before(g.ready):
		return SitsOut, g.ready.Sub(now)
	case other && p.valid(now):
		return Promised, p.until.Sub(now)
	case ask.Epoch < p.epoch, other && ask.Epoch == p.epoch:
		return OldEpoch, 0
	}
	return 0, 0
}

// room reports whether there is room for one more, and makes some if need be.
func (g *Grantor) room(now time.Time) bool {
	if len(g.table) < g.most {
		return true
	}
	if now.Before(g.sweep) {
		return false
	}
	g.sweep = now.Add(g.max)
	maps.DeleteFunc(g.table, func(_ key, p promise) bool {
		if p.valid(now) && p.until.Before(g.sweep) {
			g.sweep = p.until
		}
		return !p.valid(now)
	})
	return len(g.table) < g.most
}

// Void ends the promises to a host that is known to hold nothing: it has been
// fenced, verified. Nobody may call it for another reason.
func (g *Grantor) Void(cluster, owner string) {
	for k, p := range g.table {
		if k.cluster == cluster && p.owner == owner {
			p.until = time.Time{}
			g.table[k] = p
		}
	}
}

// Promise tells to whom a vote is promised, until when, and the highest epoch that
// was ever promised; "" = nobody.
func (g *Grantor) Promise(now time.Time, cluster, vip string) (owner string, until time.Time, epoch uint64) {
	p := g.table[key{cluster, vip}]
	if !p.valid(now) {
		return "", time.Time{}, p.epoch
	}
	return p.owner, p.until, p.epoch
}

// Clone returns a Grantor that knows the same and goes its own way from here.
func (g *Grantor) Clone() *Grantor {
	c := *g
	c.table = maps.Clone(g.table)
	return &c
}
