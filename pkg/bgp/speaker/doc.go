// Package speaker speaks BGP (GoBGP) in a process of its own, and tells this one
// what came of it. It decides nothing: what each neighbor is told is a [bgp.Table].
//
//	core                                   child (vipd speaker)
//	Process.Configure, Announce ──config, table, heartbeat──▶ Serve ──BGP, BFD──▶ neighbors
//	Report ◀──session, announced, heartbeat────────────────────┘
//
// A line of JSON is a message, and both sides bound its length. The child believes
// nothing but what it was told last, and only while the core lives: when it hears
// no heartbeat for three intervals it withdraws everything and asks to be told
// again; when the pipe closes it ends its sessions and itself. Nothing that a
// neighbor announces is kept, and no other program can talk to the child.
//
// The library is imported here and nowhere else. Each neighbor has a routing
// table of its own in it (a VRF), so that no route can reach another neighbor.
package speaker
