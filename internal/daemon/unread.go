package daemon

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/vipd/vipd/pkg/engine"
)

// unreadSuffix is added to the name of a file that makes no sense to this release, so
// that neither this one writes over it nor a newer one finds it again, out of date.
const unreadSuffix = ".unread"

// unread is the error of a file in the state directory that cannot be read, or is of
// another release. It puts the file aside.
func unread(path string, why error) error {
	if err := os.Rename(path, path+unreadSuffix); err != nil {
		return fmt.Errorf("read %s: %w", path, why)
	}
	return fmt.Errorf("read %s: %w; it is %s now", path, why, filepath.Base(path)+unreadSuffix)
}

// otherSchema is the error of a file of another release, nil when it is of this one.
func otherSchema(schema, want string) error {
	if schema != want {
		return fmt.Errorf("schema %q, not %q", schema, want)
	}
	return nil
}

// lost is the record of something that the last run has left and this one does not know.
func lost(what string, why error) engine.Event {
	return engine.Noted{Record: engine.Record{Type: engine.RecordResume, To: "lost", Severity: engine.Warning, Text: fmt.Sprintf("%s: %v", what, why)}}
}

// lose notes that something of the last run is not known, for the first turn to tell.
func (d *Daemon) lose(what string, err error) {
	if err != nil {
		d.losses = append(d.losses, lost(what, err))
	}
}
