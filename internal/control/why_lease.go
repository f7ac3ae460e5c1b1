package control

import (
	"fmt"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// The kinds of leases, as in engine.LeaseStatus.
const (
	LeaseNFT     = "nft"
	LeaseAddress = "address"
)

// lifetimeLate is how late the kernel may end the lifetime of an address.
const lifetimeLate = 1250 * time.Millisecond

// LeaseNews says that a lease is not of the kind that was asked for, or cannot be
// had, "" when all is well. That adverts are too close for one is no news: the
// configuration says so.
func LeaseNews(v engine.VIPStatus) string {
	switch {
	case v.Lease.Why == "":
	case v.Lease.Kind == LeaseAddress:
		return "no lease in the packet filter: " + v.Lease.Why + "; its addresses have a lifetime instead"
	case v.Lease.Kind == LeaseNFT:
		return "its lease cannot be had: " + v.Lease.Why
	}
	return ""
}

// HangWords says for how long this host would go on answering for a VIP that it
// holds, if it hung.
func HangWords(v engine.VIPStatus) string {
	takeover := 3 * v.Interval // nobody is faster
	switch most := v.Lease.Time + lifetimeLate; {
	case v.Lease.Kind == LeaseNFT:
		return fmt.Sprintf("it falls silent within %s, before another host takes over", v.Lease.Time)
	case v.Lease.Kind == LeaseAddress && most <= takeover:
		return fmt.Sprintf("it falls silent within %s, before another host takes over", most)
	case v.Lease.Kind == LeaseAddress:
		return fmt.Sprintf("it falls silent within %s; another host takes over after %s or more, so two may answer for up to %s",
			most, takeover, most-takeover)
	}
	return fmt.Sprintf("it goes on answering for as long as it hangs, and another host takes over after %s or more: two answer from then on", takeover)
}

// whyLease says what becomes of an Active whose host hangs.
func whyLease(e *Explanation, v engine.VIPStatus) {
	l := v.Lease
	switch {
	case l.Kind == "": // of a daemon before there were leases
		return
	case l.Armed:
		e.because("It has a lease (%s, %s). If this host hangs, %s.", l.Kind, l.Time, HangWords(v))
	case l.Kind == LeaseNFT || l.Kind == LeaseAddress:
		e.because("Its lease (%s, %s) has not begun.", l.Kind, l.Time)
	default:
		e.because("It has no lease%s. If this host hangs, %s.", colon(l.Why), HangWords(v))
	}
	if text := LeaseNews(v); text != "" {
		e.because("Not as configured: %s.", text)
	}
	if l.Late > 0 {
		e.because("It was given up here %s because this host had not run for longer than the lease lasts.", count(int(l.Late), "time"))
	}
}

// colon puts a text behind a statement.
func colon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + bare(text)
}
