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
	settleTime   = 100 * time.Millisecond // for a snapshot of a link that is newer than our own change
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
	lookAt       time.Time // what is seen of the link is older: when to have it read again
	failures     int       // in a row
	lastErr      string
	retryAt      time.Time
	blockedUntil time.Time // gave up: not eligible until then
	restores     int       // in a row
	restoredAt   time.Time
}

// begin notes that the addresses shall be there, or gone, by the request seq.
func (k *kernel) begin(seq uint64, present bool) {
	k.want, k.seq, k.applied, k.retryAt, k.lookAt = present, seq, false, time.Time{}, time.Time{}
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
// but the first two ask for another request.
type finding int

const (
	asWanted   finding = iota // as far as it can be known yet: a later look may be planned
	outdated                  // the link has to be read again: nobody tells of what did not change
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
		k.lookAt = time.Time{}
		return asWanted, nil
	case l.Read.Before(k.appliedAt):
		return k.lookAgain(now), nil
	}
	return stray, nil
}

// lookAgain has a link that was read before our own change read once more, unless a
// newer snapshot comes by itself. However long that takes, the old one counts for nothing.
func (k *kernel) lookAgain(now time.Time) finding {
	if at := k.appliedAt.Add(settleTime); now.Before(at) {
		k.lookAt = at
		return asWanted
	}
	k.lookAt = now.Add(settleTime)
	return outdated
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
		k.lookAt = time.Time{}
		return asWanted, nil
	case l.Read.Before(k.appliedAt):
		return k.lookAgain(now), nil
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
