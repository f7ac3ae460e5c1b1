// Package daemon connects: it runs the engine's loop and carries events from the
// edges to it and actions from it to the edges.
//
//	vrrpnet   adverts in and out, one port per interface and family
//	netif     addresses, links, gratuitous ARP and unsolicited NA
//	probe     health checks
//	control   the socket that commands come from
//
// The loop itself touches nothing that can block: no netlink, no disk, no
// process. Sockets are opened, addresses changed, files read and records written
// by goroutines of the edges, which answer with events. Only adverts are sent
// from the loop, on sockets that never wait, all that are due at one time at once.
package daemon
