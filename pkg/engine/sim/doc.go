// Package sim is a world for engines to live in: a virtual clock, hosts that
// crash and come back, kernels that take time, links that go down, and a network
// that loses, delays and cuts. It runs the same engine as production, hundreds of
// thousands of times faster, and the same seed gives the same world.
//
// A [World] keeps one queue of things to come. It pops the earliest, hands it to
// a host's engine, and turns the actions that come back into further things to
// come. Scenarios, the swarm of random faults and the long run all drive it
// through the same methods.
package sim
