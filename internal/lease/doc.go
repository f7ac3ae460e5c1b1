// Package lease is a dead-man switch in the kernel: the addresses of a VIP
// answer only while its lease lives, and a lease lives only while this process
// renews it. A process that is killed, stopped, paused or hung renews nothing,
// and the host falls silent within one timeout, whatever is left on it.
//
// All of it is one nftables table, netdev vipd:
//
//	lo, egress                          each guarded device, both ways
//	frame {cookie, verb, id}            frame
//	      |                                |
//	verbs: arm    id in @grants         in-eth0, out-eth0: address of the frame
//	       renew  id in @leases                |  no match: not ours, goes on
//	       close  id in @leases           @ipv4-eth0, @ipv6-eth0: address to id
//	      |                                    |
//	@leases, elements with a timeout  <----  id not in @leases: drop
//
// A lease belongs to a VIP and not to an address, so a renewal costs the same
// for one address and for a thousand. It is a frame of 16 bytes that we send on
// lo and that never arrives: the rule that does what it says drops it. The
// kernel reports the drop to the sender (ENOBUFS), so Renew knows, without
// waiting for anything, that the lease lives and was renewed; a frame that
// passes met no living lease. Nothing but a frame makes a lease longer, and
// "renew" finds living ones only, so what has expired stays so until Arm.
//
// Arm has two steps, because a process may be stopped between them: netlink
// writes a grant, which opens nothing and lasts half a timeout, and a frame turns
// it into a lease. A decision that is carried out too late meets no grant.
//
// Only what is addressed to, or sent from, a guarded address is dropped: IP by
// destination on the way in and by source on the way out, ARP and neighbour
// discovery by target on the way in and by sender on the way out. A host that
// does not hold a VIP is its client like any other.
//
// The package decides nothing: who holds a VIP, and when it renews, are the
// engine's part.
package lease
