package probe

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/check"
)

// retrail is how often the way to a pid file is looked at again, for what inotify
// does not tell: mounts. What the file holds is looked at with every look.
const retrail = time.Minute

// scanShare bounds the time spent in looking through all processes: a look that
// took a while is followed by a pause this many times as long.
const scanShare = 25

// guard watches the processes of one check. What it looks at is the same as one
// [Process] does; everything else in it only says when to look again.
//
//	pidfd of each process      ─┐
//	pid file (inotify)          │
//	unit (systemd)              ├─▶ news ─▶ look
//	closed sockets (sock_diag)  │
//	new processes (connector)   │
//	time                       ─┘
type guard struct {
	spec check.Process
	scene
	from sources
	news chan struct{} // holds a token while there is something to look at
	held map[int]*pidfd

	helpers sync.WaitGroup
	unit    unitNews
	newborn context.CancelFunc // ends the watch for new processes, nil = there is none
	blind   atomic.Bool        // the kernel does not tell of new processes
}

// unitNews is the last that systemd said, for the goroutine of the guard.
type unitNews struct {
	mu    sync.Mutex
	known bool
	state unitState
	err   error
}

// watchProcess watches processes until ctx ends.
func watchProcess(ctx context.Context, p check.Process, sc scene) {
	g := &guard{spec: p, scene: sc, news: make(chan struct{}, 1), held: map[int]*pidfd{}}
	g.from.unit = g.unit.last
	ctx, cancel := context.WithCancel(ctx)
	defer g.end(cancel)
	if !g.begin(ctx) {
		return
	}
	var last census
	for ctx.Err() == nil {
		start := time.Now()
		c := g.count()
		if c.unsure && last.OK { // perhaps the pid file is being written
			pause(ctx, settled)
			c = g.count()
		}
		g.see(c.Seen)
		g.expect(ctx, c.absent)
		last = c
		timer := time.NewTimer(max(g.pace(c), min(g.every, scanShare*time.Since(start))))
		select {
		case <-g.news:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// count looks, and has the end of all processes that were found announced.
func (g *guard) count() census {
	c := count(g.spec, &g.from)
	for range 3 {
		if g.hold(c.pids) {
			break
		}
		c = count(g.spec, &g.from) // one has ended in between
	}
	return c
}

// pace is how long to wait for news: the less will come, the shorter.
func (g *guard) pace(c census) time.Duration {
	if c.OK || c.absent && !g.blind.Load() {
		return g.every
	}
	return min(g.every, fastest)
}

// begin starts to listen to those who tell of changes. It reports false when
// ctx ended before there was anything to look at.
func (g *guard) begin(ctx context.Context) bool {
	if g.spec.PIDFile != "" {
		g.helpers.Go(func() { g.followFile(ctx) })
	}
	listeners, _ := listenersOf(g.spec.Listen, g.spec.ListenUDP) // an error is the verdict of every look
	for _, l := range listeners {
		g.helpers.Go(func() {
			if err := l.closings(ctx, g.wake); err != nil {
				g.log.Info("closed sockets are seen by looking only", "error", err)
			}
		})
	}
	if g.spec.PIDFile != "" || g.spec.Unit == "" {
		return true
	}
	told := make(chan struct{})
	var once sync.Once
	g.helpers.Go(func() {
		followUnit(ctx, g.spec.Unit, g.every, func(s unitState, err error) {
			g.unit.set(s, err)
			once.Do(func() { close(told) })
			g.wake()
		})
	})
	select {
	case <-told:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (g *guard) end(cancel context.CancelFunc) {
	cancel()
	for _, p := range g.held {
		p.close()
	}
	g.helpers.Wait()
}

// wake asks for a look.
func (g *guard) wake() {
	select {
	case g.news <- struct{}{}:
	default: // it will look anyway
	}
}

// followFile asks for a look whenever the pid file changes.
func (g *guard) followFile(ctx context.Context) {
	t := newTrail(g.log)
	defer t.close()
	for ctx.Err() == nil {
		t.follow(g.spec.PIDFile, true)
		g.wake()
		t.wait(ctx, retrail)
	}
}

// hold watches these processes and no others for their end. It reports false
// when one of them has ended already.
func (g *guard) hold(pids []int) bool {
	held, all := make(map[int]*pidfd, len(pids)), true
	for _, pid := range pids {
		p := g.held[pid]
		if p != nil && !p.ended.Load() {
			held[pid] = p
			delete(g.held, pid)
			continue
		}
		p, err := openPidfd(pid)
		switch {
		case errors.Is(err, unix.ESRCH):
			all = false
			continue
		case err != nil:
			g.log.Warn("the end of a process is seen by looking only", "error", err)
			continue
		}
		held[pid] = p
		g.helpers.Go(func() {
			p.wait()
			g.wake()
		})
	}
	for _, p := range g.held {
		p.close()
	}
	g.held = held
	return all
}

// expect listens to the kernel for new processes while some are missing, and
// not otherwise: it tells of those of the whole host.
func (g *guard) expect(ctx context.Context, missing bool) {
	if !missing && g.newborn != nil {
		g.newborn()
		g.newborn = nil
	}
	if !missing || g.newborn != nil || g.blind.Load() {
		return
	}
	ctx, g.newborn = context.WithCancel(ctx)
	like, err := likenessOf(g.spec.Name, g.spec.Owner)
	if err != nil {
		return // there is no such user yet
	}
	g.helpers.Go(func() {
		var proc procfs
		err := arrivals(ctx, g.wake, func(pid int) {
			if _, ok := proc.is(pid, like); ok {
				g.wake()
			}
		})
		if err != nil {
			g.blind.Store(true)
			g.log.Info("new processes are seen by looking only", "error", err)
			g.wake()
		}
	})
}

func (u *unitNews) set(s unitState, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil && u.known {
		return // what runs, runs on without systemd's word
	}
	u.state, u.err, u.known = s, err, err == nil
}

func (u *unitNews) last() (unitState, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state, u.err
}
