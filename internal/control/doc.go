// Package control is how a running daemon is asked and told: HTTP/1.1 with JSON
// on a unix socket, and a page of metrics, there and on a TCP address of its own.
//
// A request passes through it like this: the gate admits the connection and
// keeps the number of connections bounded; the kernel says who is at the other
// end (SO_PEERCRED, SO_PEERGROUPS); a read is answered from a copy of the status
// that the [Backend] gives; a change becomes an engine event that names the
// caller, and the engine's answer becomes the reply. Errors are problem
// documents as described in RFC 9457. Every document names its schema. The routes
// are in routes.go, and for operators in docs/control-api.md.
//
// Whoever can open the socket may read. Changing things takes uid 0, the uid of
// the daemon, or membership of the admin group.
//
// The package also holds the other end, [Client], and [Why], which turns a
// status into sentences. It decides nothing about a VIP, keeps no state of its
// own, and never speaks to a remote host: that is what ssh is for.
package control
