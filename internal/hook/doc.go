// Package hook tells an operator's programs what becomes of VIPs and sync
// groups: by running them, and by writing lines into a FIFO, both in the way of
// keepalived.
//
//	Notify   tells of a change; nobody waits for the program
//	Before   runs the program that a takeover waits for
//
// The programs of one VIP or sync group run one after the other, in the order of
// the changes; those of different ones run beside each other. A queue is bounded:
// when programs are slower than changes for long, the oldest change is left out
// and that is reported. What runs a program is pkg/check/probe, which runs those
// of checks.
//
// Nothing here decides: which change is told when, and what the end of a program
// means, is the engine's.
package hook
