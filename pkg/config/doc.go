// Package config turns vipd.toml into validated values, and mistakes in it into
// a list of problems, each with its file, line, column and a way out.
//
// A file passes through it like this:
//
//	bytes   load.go     read through a [Reader], refused when too big or binary
//	tree    scan.go     TOML values joined with the place where each one stands
//	        include.go  the trees of included files merged into one
//	values  check.go    every key looked up in the table of keys (keys.go), its
//	                    value turned into ours by its kind (kinds.go)
//	config  build.go    values and defaults become engine.Config
//	        rules.go    what several keys must agree on
//
// The table in keys.go is the only list of keys. The checker, the hints, and
// the test that compares reference.toml and vipd.toml(5) with the code all read
// it: a new key is a row there, a line in build.go, and its two texts.
//
// The package opens no file and asks the system nothing: whether an interface
// or a program exists is for others to say. Only the validated shape leaves it;
// with a single error there is no [Config] at all.
package config
