// Package witness is voters that are not hosts: the process vipd witness, which is
// a [Server], and the clients of it and of etcd, by which a host asks.
//
// Data passes through it like this:
//
//	Client.Send ─▶ asks in sealed frames ─▶ Server: pair.Session, vote.Grantor
//	Client.Run  ◀─ answers               ◀─
//
//	Client.Send ─▶ a queue ─▶ one goroutine for each VIP ─▶ leases and keys of etcd
//	Client.Run  ◀────────────┘
//
// The server keeps nothing on a disk: a session for each host and a promise for
// each VIP, both in bounded tables. What hosts of one cluster do does not touch
// another cluster. It does not know what a VIP is, nor whether a host is well.
//
// A Client never waits in Send, and loses what it cannot send: the vote.Holder asks
// again.
package witness
