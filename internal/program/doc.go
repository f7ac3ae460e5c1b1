// Package program runs the operator's programs: checks, hooks and fence agents.
// Each gets a process group of its own, an environment that says little, none of
// vipd's privileges, and an end: what is not done in time is killed, with all
// that it started. It decides nothing about what the end means.
package program
