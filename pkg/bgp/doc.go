// Package bgp decides what each BGP neighbor is told: the routes of services
// from their health, and the difference to what was told before. It opens no
// session itself; pkg/bgp/speaker does.
//
// Data passes through it like this: the engine knows which service is announced
// and with what [Attributes]. It makes a [Table] of that, one list of routes for
// each neighbor, hands the whole table to the speaker whenever it changed, and
// hears back what became of it. Nothing is ever imported.
package bgp
