// Package netif touches the host's network interfaces. It has four long-lived
// parts, which do not know each other and which the daemon connects:
//
//	Monitor    watches named links and reports each one as a whole snapshot
//	Addresses  makes the kernel have, or not have, addresses and routes
//	Announcer  tells the network with gratuitous ARP and unsolicited NA
//	Claims     hears other machines tell the network the same
//
// What has to be done goes in through methods that never block, and what
// happened comes out through the function given to Run, on Run's goroutine.
// Nothing starts before Run, and Run returns when all that it started has ended.
//
// Links are named, never numbered: an interface may vanish and come back with
// another index at any time, and each use looks the name up again.
//
// An address that vipd holds is not to be the source of what the host sends on
// its own account. IPv6 has a word for that: deprecated. IPv4 takes the first
// address of the network, so ours comes after the link's own one, and brings no
// second route to a network that the link reaches already. Where the link has no
// address of its own in the network of a prefix, ours is the only one there.
//
// Addresses can be given a lifetime, after which the kernel removes them unless
// they were prolonged: what a process that is killed or hangs has held is gone
// some seconds later.
//
// The package decides nothing: which host holds an address, when to announce
// it and how often are the engine's part.
package netif
