package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vipd/vipd/pkg/check"
)

// census is what one look for processes found.
type census struct {
	Seen
	pids []int // those that the verdict rests on; when all of them live on, it stands

	absent bool // processes of the name are missing
	unsure bool // the pid file cannot be read
}

// Process looks once whether the processes run, and the sockets are open.
func Process(ctx context.Context, p check.Process, _ Settings) Result {
	return count(p, &sources{unit: func() (unitState, error) { return askUnit(ctx, p.Unit) }}).result()
}

// sources is where a look for processes looks.
type sources struct {
	procfs
	unit  func() (unitState, error) // asks systemd
	known []int                     // what the last look found, which spares a walk through all processes
}

// count looks for the processes and sockets of a check.
func count(p check.Process, from *sources) census {
	c := processes(p, from)
	from.known = c.pids
	if !c.OK {
		return c
	}
	listeners, err := listenersOf(p.Listen, p.ListenUDP)
	if err != nil {
		return bad(err.Error())
	}
	var open []string
	for _, l := range listeners {
		switch found, err := l.open(); {
		case err != nil:
			c.OK, c.Detail = false, err.Error()
			return c
		case !found:
			c.OK, c.Detail = false, fmt.Sprintf("%s, but nobody listens on %v", c.Detail, l)
			return c
		}
		open = append(open, l.String())
	}
	if len(open) > 0 {
		c.Detail += ", listens on " + strings.Join(open, " and ")
	}
	return c
}

// bad is a verdict without processes.
func bad(detail string) census { return census{Seen: Seen{Detail: detail}} }

// processes looks for the processes of a check.
func processes(p check.Process, from *sources) census {
	like, err := likenessOf(p.Name, p.Owner)
	if err != nil {
		return bad(err.Error())
	}
	if p.PIDFile == "" && p.Unit == "" {
		return crowd(max(p.AtLeast, 1), from, like)
	}
	var pid int
	var source string
	if p.PIDFile != "" {
		if pid, err = readPID(p.PIDFile); err != nil {
			c := bad(err.Error())
			c.unsure = true
			return c
		}
		source = fmt.Sprintf("process %d of %s", pid, p.PIDFile)
	} else {
		if pid, err = mainPID(p.Unit, from.unit); err != nil {
			return bad(err.Error())
		}
		source = fmt.Sprintf("main process %d of %s", pid, p.Unit)
	}
	if !alive(pid) {
		return bad(source + " is gone")
	}
	if like != (likeness{}) {
		if _, ok := from.is(pid, like); !ok {
			return bad(fmt.Sprintf("%s is not %v", source, like))
		}
	}
	return census{Seen: Seen{OK: true, Detail: source + " runs"}, pids: []int{pid}}
}

func readPID(path string) (int, error) {
	pid, err := readNumber(path)
	if err == nil && pid <= 0 {
		err = fmt.Errorf("%s holds %d, not the number of a process", path, pid)
	}
	return pid, err
}

// mainPID is the main process of a unit of systemd.
func mainPID(name string, unit func() (unitState, error)) (int, error) {
	switch s, err := unit(); {
	case err != nil:
		return 0, err
	case s.mainPID > 0:
		return s.mainPID, nil
	case s.load != "loaded":
		return 0, errors.New(unloaded(name, s))
	default:
		return 0, fmt.Errorf("%s has no main process, it is %s (%s)", name, s.active, s.sub)
	}
}

// crowd looks for the processes of a name.
func crowd(want int, from *sources, like likeness) census {
	pids := slices.DeleteFunc(from.known, func(pid int) bool { _, ok := from.is(pid, like); return !ok })
	if len(pids) < want {
		var err error
		if pids, err = from.scan(like); err != nil {
			return bad(err.Error())
		}
	}
	c := census{pids: pids[:min(len(pids), want)], absent: len(pids) < want}
	c.OK = !c.absent
	switch {
	case c.OK && want == 1:
		c.Detail = fmt.Sprintf("%v runs", like)
	case c.OK:
		c.Detail = fmt.Sprintf("%d or more processes %v run", want, like)
	case len(pids) == 0:
		c.Detail = fmt.Sprintf("no process %v", like)
	default:
		c.Detail = fmt.Sprintf("%d of %d processes %v", len(pids), want, like)
	}
	return c
}
