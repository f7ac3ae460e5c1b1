package witness

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// Each source address may send so many datagrams a second, and so many at once:
// some ten times what a host with 255 VIPs at 100 ms needs.
const (
	limitRate  = 5000
	limitBurst = 5000
	limitLen   = 4096 // addresses share a counter when there are more
)

// limits counts what each address sends, in a table that does not grow. The zero
// value is ready.
type limits struct {
	seed    maphash.Seed
	buckets []bucket
}

type bucket struct {
	left   float64
	filled time.Time
}

// allow reports whether one more datagram of an address is to be looked at.
func (l *limits) allow(now time.Time, a netip.Addr) bool {
	b := l.of(a)
	if b.filled.IsZero() {
		b.left = limitBurst
	} else {
		b.left = min(limitBurst, b.left+now.Sub(b.filled).Seconds()*limitRate)
	}
	b.filled = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// of returns the counter of an address. An IPv6 host has many: those of one /64
// count as one.
func (l *limits) of(a netip.Addr) *bucket {
	if l.buckets == nil {
		l.seed, l.buckets = maphash.MakeSeed(), make([]bucket, limitLen)
	}
	if a.Is6() {
		p, _ := a.Prefix(64)
		a = p.Addr()
	}
	return &l.buckets[maphash.Comparable(l.seed, a)%limitLen]
}
