// Package trial runs a user's own two files as a pair, in a lab on one machine, and
// tells what became of their vips when a host boots, is drained, dies, or is cut
// off.
//
// A file passes through it like this: [Read] loads it as the daemon would, without
// needing the secrets and programs of the real host; adapt rewrites what a lab
// cannot have and says so in notes; plan finds out which interfaces there are, which
// of them meet on a switch, and which addresses hosts and client need; [Run] builds
// that with testenv, starts a real vipd on each host, and plays the scenarios while
// a client asks every vip.
//
// The process must run in namespaces of its own, see [testenv.Isolate]. Nothing here
// knows how vipd works inside.
package trial
