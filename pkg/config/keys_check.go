package config

import "time"

// checkRows are the keys of checks: first those of every type, then those of
// some.
var checkRows = []key{
	{path: "check.*.type", kind: checkType{}, none: required,
		doc: "What the check does: run a program, connect, or look for a file."},
	{path: "check.*.interval", kind: duration{10 * time.Millisecond, 24 * time.Hour, false}, def: `"1s"`,
		doc: "Time between the starts of two probes."},
	{path: "check.*.timeout", kind: duration{time.Millisecond, 24 * time.Hour, false}, none: "the interval",
		doc: "A probe that takes longer has failed; at most the interval."},
	{path: "check.*.fast_interval", kind: duration{10 * time.Millisecond, 24 * time.Hour, false}, none: "the interval",
		doc: "Interval while the check is rising or falling; at most the interval."},
	{path: "check.*.rise", kind: integer{1, 1000}, def: `2`,
		doc: "Good results in a row that make the check pass."},
	{path: "check.*.fall", kind: integer{1, 1000}, def: `2`,
		doc: "Bad results in a row that make the check fail."},
	{path: "check.*.weight", kind: weight{}, def: `"fault"`,
		doc: "What a failure does to a VIP that lists the check: \"fault\" makes it not eligible, a negative number lowers its priority; a positive one raises it while the check passes."},
	{path: "check.*.init", kind: choice{"fail", "ok"}, def: `"fail"`,
		doc:  "Result before the first probe.",
		also: []string{"init_fail"}},
	{path: "check.*.command", kind: list{argument}, none: required, only: []string{"exec"},
		doc:  "Program and arguments, without a shell; exit code 0 is good.",
		also: []string{"script"}},
	{path: "check.*.user", kind: userText, none: "node.script_user", only: []string{"exec"},
		doc: "User that runs the program."},
	{path: "check.*.port", kind: integer{1, 65535}, none: "address is given", only: []string{"tcp"},
		doc: "Port on 127.0.0.1 to connect to."},
	{path: "check.*.address", kind: text{what: "host:port, or :port for 127.0.0.1", check: checkTarget}, none: "port is given", only: []string{"tcp"},
		doc: "Host and port to connect to."},
	{path: "check.*.source", kind: address{loopback: true}, none: "the system chooses", only: []string{"tcp"},
		doc: "Local address to connect from."},
	{path: "check.*.path", kind: pathText, none: required, only: []string{"file"},
		doc: "File to look for.", also: []string{"file"}},
	{path: "check.*.exists", kind: boolean{}, def: `true`, only: []string{"file"},
		doc: "Good while the file exists; false: good while it does not."},
}
