// Package engine decides. It takes events in, gives actions out, and does
// nothing else: no socket, no clock, no goroutine, no random number. The daemon,
// the simulator, the scenarios and the replayer all run this same code.
//
// Four words are enough to read it: an [Event] is something that happened, an
// [Action] something to do, [Engine.Step] the decision, and [Engine.Next] the
// time at which to call Step with a [Wake], whatever else happens.
//
// A VIP passes four stages, and its status names the one at which it waits:
//
//	eligible   its checks pass, its link is up, it is not drained
//	elected    VRRP: nobody better is Active
//	cleared    the guard allows the takeover
//	held       the kernel has the addresses and the network has been told
//
// Where the order of two things matters, the engine waits for the event that
// says that the first one is done: the address is gone before the release
// leaves the host, and the address is there before the network is told.
package engine
