// Package check turns the results of probes into health: rise and fall, the
// first state, and when the next probe is due. It runs no probe itself; the
// probes are in check/probe.
package check
