// Command bench measures vipd beside Debian's keepalived and FRR's vrrpd, and what
// it announces beside BIRD and ExaBGP, in the same labs of network namespaces and in
// the same run, and writes what it found as docs/benchmarks.md.
//
// The machine may be shared and noisy. So the daemons take turns, run by run, and
// every figure is a set of samples of which the median and the ratio to the best
// rival's median count.
package main
