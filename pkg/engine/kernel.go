package engine

import (
	"net/netip"
	"slices"
	"time"
)

// What the kernel has can fail to come, or be undone by others. These bound how
// often we try again.
const (
	retryFirst   = 100 * time.Millisecond // after a failed SetAddresses, doubled each time
	retryMost    = 5 * time.Second
	settleTime   = 100 * time.Millisecond // a snapshot of a link may be older than our own change
	restoreFirst = 10 * time.Millisecond  // before the second restore in a row, doubled each time
	restoreMost  = time.Second
	restoreCalm  = 10 * time.Second // without a loss: the next restore is at once again
)

// kernel is what a VIP or a service wants of the kernel and how far that got.
type kernel struct {
	want         bool // the addresses shall be there
	seq          uint64
	applied      bool // the kernel confirmed seq
	there        bool // the kernel has them, until it confirms that they are gone
	appliedAt    time.Time
	seen         bool      // a snapshot of the link has shown them since
	lookAt       time.Time // not seen yet: when a snapshot without them is no longer an old one
	failures     int       // in a row
	lastErr      string
	retryAt      time.Time
	blockedUntil time.Time // gave up: not eligible until then
	restores     int       // in a row
	restoredAt   time.Time
}

// begin notes that the addresses shall be there, or gone, by the request seq.
func (k *kernel) begin(seq uint64, present bool) {
	k.want, k.seq, k.applied, k.seen, k.retryAt, k.lookAt = present, seq, false, false, time.Time{}, time.Time{}
}

// confirmed notes that the kernel is as was wanted.
func (k *kernel) confirmed(now time.Time) {
	k.applied, k.there, k.appliedAt, k.failures, k.lastErr = true, k.want, now, 0, ""
}

// refused plans another try, and reports whether the cause is a new one.
func (k *kernel) refused(now time.Time, err string) (news bool) {
	k.failures++
	k.retryAt = now.Add(min(retryFirst<<min(k.failures-1, 10), retryMost))
	news = err != k.lastErr
	k.lastErr = err
	return news
}

// finding is what a comparison of the kernel with what is wanted brings up. All
// but asWanted ask for another request.
type finding int

const (
	asWanted   finding = iota // as far as it can be known yet: a later look may be planned
	unanswered                // a request that failed is to be repeated
	missing                   // somebody removed addresses
	misplaced                 // they come before the link's own
	stray                     // they are there although they shall not be
)

// compare compares the addresses on a link with those that are wanted, or not
// wanted, there. lost are those that are missing.
func (k *kernel) compare(now time.Time, l *link, addresses []netip.Prefix, moved bool) (f finding, lost []netip.Prefix) {
	switch {
	case !k.retryAt.IsZero():
		return asWanted, nil
	case !k.applied && k.failures > 0:
		return unanswered, nil
	case !k.applied:
		return asWanted, nil
	case k.want:
		return k.compareHeld(now, l, addresses, moved)
	case !containsAny(l.Addresses, addresses):
		return asWanted, nil
	case now.Sub(k.appliedAt) < settleTime:
		k.retryAt = k.appliedAt.Add(settleTime) // look again when the picture is newer
		return asWanted, nil
	}
	return stray, nil
}

// compareHeld finds addresses that somebody removed, or put before the link's own
// ones. Who does that again and again is met with patience.
func (k *kernel) compareHeld(now time.Time, l *link, addresses []netip.Prefix, moved bool) (f finding, lost []netip.Prefix) {
	for _, p := range addresses {
		if !l.has(p) {
			lost = append(lost, p)
		}
	}
	switch {
	case len(lost) == 0 && !moved:
		k.seen, k.lookAt = true, time.Time{}
		return asWanted, nil
	case !k.seen && now.Sub(k.appliedAt) < settleTime:
		// Whoever removes them before they were ever seen leaves a picture that
		// does not change any more.
		k.lookAt = k.appliedAt.Add(settleTime)
		return asWanted, nil
	}
	if now.Sub(k.restoredAt) > restoreCalm {
		k.restores = 0
	}
	if k.restores > 0 {
		wait := min(restoreFirst<<min(k.restores-1, 10), restoreMost)
		if at := k.restoredAt.Add(wait); now.Before(at) {
			k.retryAt = at
			return asWanted, nil
		}
	}
	k.restores++
	k.restoredAt = now
	if len(lost) == 0 {
		return misplaced, nil
	}
	return missing, lost
}

// containsAny reports whether one of the wanted addresses is among those of a
// link, whatever the prefix length.
func containsAny(have, want []netip.Prefix) bool {
	there := make(map[netip.Addr]bool, len(have))
	for _, h := range have {
		there[h.Addr()] = true
	}
	return slices.ContainsFunc(want, func(w netip.Prefix) bool { return there[w.Addr()] })
}
