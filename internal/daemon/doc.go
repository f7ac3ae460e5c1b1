// Package daemon connects: it carries events from the edges to the engine, and
// actions from it to the edges.
//
//	vrrpnet   adverts in and out, one port per interface and family
//	netif     addresses, links, gratuitous ARP and unsolicited NA
//	probe     health checks
//	hook      the operator's programs that are told of changes
//	agent     fence devices, which cut peers off
//	control   the socket that commands come from
//
// The goroutine of an edge that has news takes a turn with the engine (loop.go),
// one after the other. A turn touches nothing that can block: no netlink, no
// disk, no process. Sockets are opened, addresses changed, files read and records
// written outside of turns, by the goroutines of the edges, which answer with
// events. Only adverts are sent in turns, on sockets that never wait, all that
// are due at one time at once.
package daemon
