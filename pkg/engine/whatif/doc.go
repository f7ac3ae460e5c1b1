// Package whatif answers what would happen. It puts a question to a copy of a
// running engine and lets it live on for some seconds, which takes no time, in a
// world that is as simple as this: the kernel does what it is told, hooks end
// at once and well, interfaces and checks stay as they are, and the hosts that are heard go on advertising,
// until they hear somebody better.
//
//	q, err := whatif.Parse([]string{"link", "eth0", "down"})
//	answer, err := whatif.Ask(eng.Clone(), now, q)
//
// What that world cannot show is part of the answer: mostly whether a host that
// is silent now would take over. The engine that was copied is not touched.
package whatif
