// Package probe looks at the world for pkg/check: it runs a program, connects
// to an address and asks what runs there, or looks at a process or a file, once,
// and says whether that was good.
//
// A probe is one function: context, spec and settings in, [Result] out. The
// deadline is the context's. When to probe, how often, and what a result means
// is decided in pkg/check and in the engine; this package keeps no history.
//
// What tells of its changes by itself is watched: a watch looks like a probe
// does, whenever something may be new, and gives each [Seen] that differs.
// Whoever tells (a pidfd, inotify, sock_diag, the process connector, D-Bus, a
// timer) only says when to look, so a message lost is never a wrong verdict.
//
// A [Runner] carries probes and watches out beside a loop that must not wait for them.
package probe
