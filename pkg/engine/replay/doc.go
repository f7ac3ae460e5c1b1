// Package replay writes down what an engine was given and what it said, as lines
// of text, and gives the same to another engine later.
//
//	{"schema":"vipd.recording/v1","version":"0.1.0","node":"lb1","started":"2026-11-21T14:00:00.000000001Z"}
//	{"t":81500,"event":{"Configure":{…}},"records":[{"id":1,"type":"start",…}]}
//	{"t":361204117,"event":{"Wake":{}},"records":[…]}
//
// The first line is the [Header], every other one a [Step]: the time since the
// start by the monotonic clock in nanoseconds, the event, and the records that
// the engine reported. The engine decides by nothing else, so a replay by the
// same version reports the same; [Play] compares. Adverts are not compared: they
// leave at ticks of the wall clock, which is read a moment beside the other one.
//
// The package reads and writes bytes; files are its caller's.
package replay
