// Package journal keeps what happened: the records of the engine, for whoever
// asks, for the log, and over restarts; and, when an operator wants it, all that
// the engine was given, for a replay.
//
//	Add ──▶ newest 10 000, in memory ──▶ Since: control socket, followers
//	              │ Run
//	              ├──▶ events.jsonl in the state directory, and one older file
//	              └──▶ journald with fields, or the log
//
// Add and [Recorder.Step] never wait: goroutines of their own write. Nothing is
// synced to the disk line by line: a written line survives the end of vipd in
// any way, also kill -9, and only a host that loses power may lose its last
// seconds. A sync would buy those at some milliseconds of disk time each, just
// when a failover keeps the disk of a database busy.
//
// Numbers of records are unique and grow over restarts: a run adds a billion
// times its own number to what the engine counts, so that a cause still names
// what led to it. The run number is read from the file; when vipd has none to
// write to, every run begins at 1.
package journal
