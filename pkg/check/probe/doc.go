// Package probe looks at the world for pkg/check: it runs a program, connects
// to an address, or looks at a file, once, and says whether that was good.
//
// A probe is one function: context, spec and settings in, [Result] out. The
// deadline is the context's. When to probe, how often, and what a result means
// is decided in pkg/check and in the engine; this package keeps no history.
//
// A [Runner] carries probes out beside a loop that must not wait for them.
package probe
