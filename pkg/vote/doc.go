// Package vote decides by majority which host may hold a VIP. Each voter, a host
// or a witness, promises its one vote for a time, to one host at a time; a host
// holds, and takes over, only while it has more than half of the votes. Any two
// majorities have a voter in common, so there are never two such hosts,
// whatever the network does.
//
// A [Grantor] is one voter's table of promises, and a [Holder] is what one host
// has been promised for one VIP. They speak in an [Ask] and an [Answer]:
//
//	          Ask: renew, release
//	Holder ────────────────────────▶ Grantor of this host    (called directly)
//	of a VIP ──────────────────────▶ Grantor of the peer     (over the pair channel)
//	       ────────────────────────▶ Grantor of the witness  (internal/witness)
//	       ◀────────────────────────
//	          Answer: granted, refused, released, lost
//
// What it rests on:
//
//   - A voter counts a promise from when it received the Ask, the holder from when
//     it sent it, and less by what the two clocks may differ in speed, [Drift]. So
//     the holder stops counting on a vote before the voter may give it away. How
//     long a message was on its way does not matter, nor what its clock shows.
//   - A voter that has started does not know what it promised before. It grants
//     nothing until the longest promise that it may have made is over, so nothing
//     needs a disk.
//   - A holder lets the kernel's lease, which ends what a hung host holds, be
//     refreshed only while the votes last for two of them ([Holder.MayRenewLease]):
//     the refresh may come one lease late, but not later, as a lease that has
//     ended cannot be refreshed.
//   - Messages are of the process that they say they are of, and of one that is
//     still there: pkg/pair sees to that. They may be lost, late, doubled and out of
//     order.
//   - All hosts have the same voters. Who replaces one does so one at a time.
//
// Epochs number the holders. A holder's is above that of each one before it,
// because a majority of voters has to agree to the number and each only agrees to
// a higher one. They order what is told and logged; that there is one holder
// rests on the promises alone. When voters forget theirs in a restart, numbers may
// come again.
//
// The package holds no socket, clock, goroutine or random number.
package vote
