package journal

import (
	"crypto/sha1"
	"encoding/hex"
	"maps"
	"strconv"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/vipd/vipd/pkg/engine"
)

// Connected reports whether standard error goes to journald (JOURNAL_STREAM
// names its device and inode), so that records can have fields there.
func Connected() bool {
	ok, err := journal.StderrIsJournalStream()
	return ok && err == nil
}

// MessageID is the MESSAGE_ID of a type of records in the journal of systemd:
// the UUID of version 5 (RFC 9562) of the name "vipd.event/v1:TYPE", so that a
// new type has one without a table. vipd(8) and the catalog list them.
func MessageID(t engine.RecordType) string {
	// The namespace is the UUID of version 4 that was drawn for vipd.
	space := []byte{0x6f, 0x0c, 0x3a, 0x52, 0x9d, 0x5e, 0x4b, 0x1f, 0x8a, 0x27, 0xd1, 0x44, 0x70, 0x9b, 0xe6, 0x35}
	sum := sha1.Sum(append(space, engine.EventSchema+":"+string(t)...))
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return hex.EncodeToString(id)
}

// priorities maps severities to those of syslog.
var priorities = map[engine.Severity]journal.Priority{
	engine.Info:     journal.PriInfo,
	engine.Notice:   journal.PriNotice,
	engine.Warning:  journal.PriWarning,
	engine.Critical: journal.PriCrit,
}

// sendJournald sends a record with its fields. journald cuts and checks them.
func sendJournald(r engine.Record) error {
	fields := map[string]string{
		"SYSLOG_IDENTIFIER": "vipd",
		"MESSAGE_ID":        MessageID(r.Type),
		"VIPD_EVENT":        string(r.Type),
		"VIPD_EVENT_ID":     strconv.FormatUint(r.Seq, 10),
		"VIPD_NAME":         r.Name,
		"VIPD_FROM":         r.From,
		"VIPD_TO":           r.To,
		"VIPD_REASON":       r.Reason,
		"VIPD_ACTOR":        r.Actor.Name,
	}
	if p := r.Actor.Process; p != (engine.Process{}) {
		fields["VIPD_ACTOR_UID"] = strconv.FormatUint(uint64(p.UID), 10)
		fields["VIPD_ACTOR_GID"] = strconv.FormatUint(uint64(p.GID), 10)
		fields["VIPD_ACTOR_PID"] = strconv.Itoa(int(p.PID))
	}
	if r.Took > 0 {
		fields["VIPD_DURATION_USEC"] = strconv.FormatInt(r.Took.Microseconds(), 10)
	}
	if r.Cause != 0 {
		fields["VIPD_CAUSE"] = strconv.FormatUint(r.Cause, 10)
	}
	maps.DeleteFunc(fields, func(_, value string) bool { return value == "" })
	priority, ok := priorities[r.Severity]
	if !ok {
		priority = journal.PriInfo
	}
	return journal.Send(r.Text, priority, fields)
}
