// Package lease is a dead-man switch in the kernel: the addresses of a VIP
// answer only while its lease lives, and a lease lives only while this process
// renews it. A process that is killed, stopped, paused or hung renews nothing,
// and the host falls silent within one timeout, whatever is left on it.
//
// All of it is one nftables table, netdev vipd:
//
//	lo, egress: frames                  eth0: ingress-eth0, egress-eth0
//	frame {cookie, verb, id}            frame
//	      |                                |
//	verbs                               in-eth0, out-eth0: the address in it
//	  arm    id in @grants                 |  in no map: not ours, goes on
//	  renew  id in @leases              @ipv4-eth0, @ipv6-eth0: address to VIP
//	  end    id in @leases                 |
//	      |                             vip-web: id not in @leases: drop
//	      v                                ^
//	@leases, elements with a timeout ------+
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
// destination on the way in and by source on the way out, and on the way out the
// answers of ARP and neighbour discovery. A host that does not hold a VIP is its
// client like any other, and hears who has it. With a virtual MAC its device and
// the parent are guarded: IP leaves by the parent alone, and a neighbour on the
// same parent does not pass that.
//
// Where the kernel has it (Linux 6.9) the table belongs to this process: nobody
// else can change it, and it outlives the process, closed. Elsewhere Run makes
// again what others change, within milliseconds.
//
// The package decides nothing: who holds a VIP, and when it renews, are the
// engine's part.
package lease
