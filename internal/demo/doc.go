// Package demo shows what vipd does, on one machine and without changing it: it
// builds a lab of two hosts and a client, runs a real vipd on each host, breaks
// things, and tells what the client's probes noticed.
//
//	client ── 1000 probes a second ──┐
//	lb1 ── vipd, priority 150 ───────┤ lan
//	lb2 ── vipd, priority 100 ───────┘
//
// The scenes are the table acts. Each does something to the pair, says who must
// answer afterwards, and how long nobody may; [Run] plays them, narrates them,
// and puts what was measured into a [Document].
//
// [RunAnycast] does the same with scenes: both hosts announce a service to a
// router (package router, started as a program), which shares the client's flows
// out between them.
//
// The lab is testenv's, so the process must run in namespaces of its own, see
// [testenv.Isolate]. Nothing here knows how vipd works inside: it is started as
// a program, and asked through its commands and its control socket.
package demo
