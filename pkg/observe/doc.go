// Package observe compares what vipd would do with what is: while another daemon
// has the addresses, and vipd runs beside it and touches nothing.
//
// A [World] is given what is seen ([World.Saw]: adverts on the wire, of others and
// of this host) and, from time to time, what vipd would do and which addresses
// this host has ([World.Look]). It says which differences began and ended. Only
// what lasts is told: two daemons that decide alike are apart for some milliseconds
// at each change, and for a probe or two where checks are polled.
//
// It does not know why vipd decides as it does, and reads no clock.
package observe
