package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

const (
	systemdName    = "org.freedesktop.systemd1"
	systemdPath    = "/org/freedesktop/systemd1"
	managerFace    = systemdName + ".Manager"
	propertiesFace = "org.freedesktop.DBus.Properties"

	busPatience = 5 * time.Second // for one answer of the bus
	busRetry    = 100 * time.Millisecond
	busRetryMax = 5 * time.Second
)

// unitState is how systemd says that a unit stands.
type unitState struct {
	name    string // its own, when it was asked for by another
	load    string // loaded, not-found, masked …
	active  string // active, reloading, inactive, failed …
	sub     string // running, exited, dead …
	mainPID int    // of a service, 0 = none
}

// errNewName ends a connection on which the wrong name was watched.
var errNewName = errors.New("the unit has another name now")

// bus is one connection to the system bus.
type bus struct {
	conn    *dbus.Conn
	signals chan *dbus.Signal
	cancel  context.CancelFunc
}

// openBus connects to the system bus. The connection ends with ctx.
func openBus(ctx context.Context) (*bus, error) {
	ctx, cancel := context.WithCancel(ctx)
	impatient := time.AfterFunc(busPatience, cancel) // the greeting of D-Bus knows no deadline
	defer impatient.Stop()
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("connect to the system bus: %s", cause(err))
	}
	return &bus{conn: conn, signals: make(chan *dbus.Signal, 16), cancel: cancel}, nil
}

func (b *bus) close() {
	_ = b.conn.Close()
	b.cancel()
}

// state asks how a unit stands. Systemd loads it when it has not.
func (b *bus) state(ctx context.Context, name string) (unitState, error) {
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	object := b.conn.Object(systemdName, unitPath(name))
	var all map[string]dbus.Variant
	err := object.CallWithContext(ctx, propertiesFace+".GetAll", 0, systemdName+".Unit").Store(&all)
	if err != nil {
		return unitState{}, fmt.Errorf("ask systemd about %s: %s", name, cause(err))
	}
	s := unitState{name: text(all["Id"]), load: text(all["LoadState"]), active: text(all["ActiveState"]), sub: text(all["SubState"])}
	var pid dbus.Variant
	// Only a service has a main process.
	if object.CallWithContext(ctx, propertiesFace+".Get", 0, systemdName+".Service", "MainPID").Store(&pid) == nil {
		n, _ := pid.Value().(uint32)
		s.mainPID = int(n)
	}
	return s, nil
}

func text(v dbus.Variant) string {
	s, _ := v.Value().(string)
	return s
}

func unitPath(name string) dbus.ObjectPath {
	return dbus.ObjectPath(systemdPath + "/unit/" + sd.PathBusEscape(name))
}

// subscribe asks for the signals that say that a unit, known by these names,
// may stand otherwise, and no others: those of all units would wake us often.
func (b *bus) subscribe(ctx context.Context, names ...string) error {
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	from, manager := dbus.WithMatchSender(systemdName), dbus.WithMatchInterface(managerFace)
	matches := [][]dbus.MatchOption{
		{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, systemdName)},
		{from, manager, dbus.WithMatchMember("Reloading")},
	}
	for _, name := range names {
		matches = append(matches,
			[]dbus.MatchOption{from, dbus.WithMatchInterface(propertiesFace), dbus.WithMatchObjectPath(unitPath(name))},
			[]dbus.MatchOption{from, manager, dbus.WithMatchMember("UnitNew"), dbus.WithMatchArg(0, name)},
			[]dbus.MatchOption{from, manager, dbus.WithMatchMember("UnitRemoved"), dbus.WithMatchArg(0, name)})
	}
	for _, match := range matches {
		if err := b.conn.AddMatchSignalContext(ctx, match...); err != nil {
			return fmt.Errorf("listen on the system bus: %s", cause(err))
		}
	}
	if err := b.conn.Object(systemdName, systemdPath).CallWithContext(ctx, managerFace+".Subscribe", 0).Err; err != nil {
		return fmt.Errorf("ask systemd for its signals: %s", cause(err))
	}
	return nil
}

// askUnit asks how a unit stands, once.
func askUnit(ctx context.Context, name string) (unitState, error) {
	b, err := openBus(ctx)
	if err != nil {
		return unitState{}, err
	}
	defer b.close()
	return b.state(ctx, name)
}

// followUnit tells how a unit stands, first and at every change, until ctx ends.
// While nobody can be asked it tells the error instead, but not before it has
// lasted for as long as grace: a bus or a systemd that is only restarted says
// nothing about the unit.
func followUnit(ctx context.Context, name string, grace time.Duration, tell func(unitState, error)) {
	var heard time.Time // last, zero = never
	for delay := busRetry; ctx.Err() == nil; delay = min(2*delay, busRetryMax) {
		told, err := followOnce(ctx, name, func(s unitState) { tell(s, nil) })
		if told {
			heard, delay = time.Now(), busRetry
		}
		wait := delay
		switch left := grace - time.Since(heard); {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errNewName):
			continue
		case !heard.IsZero() && left > 0:
			wait = min(delay, left)
		default:
			tell(unitState{}, err)
		}
		pause(ctx, wait)
	}
}

// followOnce follows a unit on one connection to the bus. It reports whether it
// told anything.
func followOnce(ctx context.Context, name string, tell func(unitState)) (told bool, err error) {
	b, err := openBus(ctx)
	if err != nil {
		return false, err
	}
	defer b.close()
	b.conn.Signal(b.signals)
	first, err := b.state(ctx, name)
	if err != nil {
		return false, err
	}
	if err := b.subscribe(ctx, name, first.name); err != nil {
		return false, err
	}
	for {
		s, err := b.state(ctx, name) // after the subscription: nothing is missed in between
		if err != nil {
			return told, err
		}
		if s.name != first.name {
			return told, errNewName
		}
		tell(s)
		told = true
		if err := b.wait(ctx); err != nil {
			return told, err
		}
	}
}

// wait returns when there were signals that may mean something new, or with an
// error when there will be no more of them.
func (b *bus) wait(ctx context.Context) error {
	for more := false; ; more = true {
		var signal *dbus.Signal
		select {
		case signal = <-b.signals: // nil once the connection is closed
		default:
			if more {
				return nil
			}
			select {
			case signal = <-b.signals:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		switch {
		case signal == nil:
			return errors.New("the system bus has gone")
		case signal.Name == "org.freedesktop.DBus.NameOwnerChanged":
			return errors.New("systemd has left the bus")
		}
	}
}
