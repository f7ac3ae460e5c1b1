package config

import "time"

// hookRows are the keys of hooks in a table: [vip.NAME] has all of them,
// [sync.NAME] those that tell of changes.
func hookRows(table string) []key {
	rows := []key{
		{path: table + ".notify", kind: command{}, none: "no program is run",
			doc:  "Program that is run after each change, with keepalived's four arguments at the end; it delays nothing.",
			also: []string{"notify_master", "notify_backup", "notify_fault", "notify_stop", "notify_deleted"}},
		{path: table + ".notify_timeout", kind: duration{100 * time.Millisecond, time.Hour, false}, def: `"30s"`,
			doc: "Notify programs that take longer get SIGTERM, and SIGKILL 2s later."},
		{path: table + ".notify_coalesce", kind: boolean{}, def: `false`,
			doc: "Of the changes that wait while a program runs, tell only the newest; false: all, in order."},
		{path: table + ".notify_fifo", kind: pathText, none: "no FIFO is written to",
			doc:  "FIFO that gets one of keepalived's lines for each change, if somebody reads it; it is made when it is missing.",
			also: []string{"vrrp_notify_fifo"}},
	}
	if table == "sync.*" {
		return rows
	}
	return append(rows,
		key{path: table + ".before_hold", kind: command{}, none: "nothing is waited for",
			doc: "Program that must end before the addresses are opened, at every takeover; when it fails or takes too long, they are opened anyway."},
		key{path: table + ".before_hold_timeout", kind: duration{10 * time.Millisecond, time.Minute, false}, def: `"2s"`,
			doc: "A takeover waits this long for before_hold at most."},
	)
}
