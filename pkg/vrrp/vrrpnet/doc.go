// Package vrrpnet sends and receives VRRP packets: raw sockets of IP protocol
// 112, one [Conn] per interface and family.
//
// Data passes through it like this: [Conn.Run] reads datagrams in batches, asks
// the [vrrp.Filter] that [Conn.SetMembers] made about each, counts what is
// refused by cause, and hands on what is left. [Conn.Send] takes a batch of
// adverts and gives it to the kernel in one system call, without ever waiting.
// Members with a [vrrp.Auth] sign on the way out and verify on the way in; the clock
// that this needs is read here.
//
// Three sockets do the work. The first one is bound to the interface, has joined
// the VRRP group on it, and receives. The other two receive nothing: one, bound to
// the interface as well, sends, and one sends multicast adverts out of the macvlan
// devices of virtual MACs; that is bound to none, names the device with every
// packet, and so does not mind when one is created again.
//
// The IP header is the kernel's work: it is asked for hop limit 255, class 0xc0
// and, packet by packet (IP_PKTINFO, IPV6_PKTINFO), for exactly the source that
// the caller named. A source that the host does not have is an error of that
// packet, never a forged advert, and an advert longer than the MTU is
// fragmented; a header of our own (IP_HDRINCL) would give up both.
//
// What the kernel refuses by itself is not seen here and not counted: a frame
// shorter than its IP header says, a bad header checksum, and, over IPv4, a
// source address that is this host's own ("martian source").
//
// A macvlan that carries the same virtual MAC as an advert's sender has to be
// in bridge mode: in private mode the kernel hands such a frame to the macvlan
// alone, and the interface below it hears nothing.
//
// [Watch] is for those who only look on: a packet socket that sees what comes in and
// what leaves the host, whichever program sends it.
//
// The package does not know what an advert means, who is Active, or which
// addresses the host holds, and it does not watch links for anyone but itself.
package vrrpnet
