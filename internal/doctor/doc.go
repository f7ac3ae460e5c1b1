// Package doctor gathers what pkg/doctor judges: files below a root, the
// interfaces of this network namespace, the rules of nftables, the kernel's
// clock, and, when asked, who answers for addresses and who advertises. It
// changes nothing.
package doctor
