// Package keepalived reads keepalived.conf and writes the vipd.toml that does
// the same, with a report of every line: converted, changed on purpose, or
// refused with what to do instead.
//
// A file passes through it like this:
//
//	lines       source.go    files read through an [fs.FS], comments cut off
//	            expand.go    includes, conditions, parameters
//	            sequence.go  ~SEQ and ~LST
//	words       words.go     quotes and escapes
//	statements  tree.go      lines joined with the blocks that they open
//	model       global.go    tables of keywords: each row says what becomes of
//	            script.go    a keyword, or has the function that converts it
//	            track.go
//	            instance.go  see also address.go, notify.go, garp.go
//	            group.go
//	            lvs.go       keywords that vipd has no use for
//	text        toml.go      the model as vipd.toml
//	report      report.go    one finding for each line
//
// The words of the model are those of vipd.toml(5). Where the manual of
// keepalived and keepalived 2.2.7 differ, what the program does counts.
//
// It opens nothing but the files it is asked for, and it does not look at the
// host: whether an interface or a program exists is for others to say.
package keepalived
