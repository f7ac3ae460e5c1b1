// Package pair is the authenticated channel between the hosts of a pair or group:
// one [Channel] per process, with UDP sockets under the rules of pkg/pair.
//
// Data passes through it like this: [Channel.Send] puts a State into its parts,
// seals each for every peer and gives all of them, for every path, to the kernel
// in one system call per family, without ever waiting. [Channel.Run] reads
// datagrams in batches, has them opened and judged, answers those that have to
// prove themselves, counts what is refused by cause, and hands on what is left.
//
// Two sockets do the work of each family. One is bound to the port and receives.
// The other one sends, from whatever port it gets, and receives nothing: the
// poller of the Go runtime must not know it, or it would wake up for each packet
// that has left the host. So a host is told from its source address and never
// from its port.
//
// The package does not know what a State means. It keeps nothing that it was
// told, and says nothing that it was not given, but for greetings.
package pair
