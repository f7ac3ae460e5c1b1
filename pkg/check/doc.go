// Package check turns the results of probes into health: rise and fall, the
// first state, and when the next probe is due. It runs no probe itself; the
// probes are in check/probe.
//
// Data passes through it like this: the engine keeps one [State] for each
// configured check and asks it when the next probe is due. When that time comes
// it has the probe run, tells the State that it started, and hands over the
// result when it arrives. The State answers whether health changed, and the
// engine decides what that means for the VIPs that track the check.
package check
