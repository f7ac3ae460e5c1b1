// Package testenv builds small networks out of Linux network namespaces, so
// that a failover can be tested on one machine, as root or as an ordinary user:
// hosts, a switch between them, a client that probes a thousand times a second,
// an observer that sees every frame, and the ways to break it (a port down, a
// cut in one direction, lost packets).
//
// A program or a test binary that uses it calls [Isolate] first: it runs itself
// again inside fresh namespaces of its own, so that nothing of the machine is
// touched and nothing is left behind.
package testenv
