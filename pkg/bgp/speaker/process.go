package speaker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
)

// How long the pause before a new child is: none after the first end, then these,
// as long as children do not live longer than the longest of them.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// deafBeats is how many heartbeats of the child may be missing before it is killed:
// a frozen one keeps routes up until the neighbors notice.
const deafBeats = 30

// endTime bounds how long the child may take to leave.
const endTime = 2 * time.Second

// Options are what a Process is made from.
type Options struct {
	Command   []string      // the child: a program that calls [Serve], and its arguments
	Log       *slog.Logger  // nil = none
	Heartbeat time.Duration // 0 = 100 ms; the child withdraws everything after three without
	// Alive is asked before each heartbeat: false leaves it out, so that nothing
	// stays announced while this process runs and its decisions do not. nil =
	// always true. It must not wait.
	Alive func() bool
	// Kept says that the neighbors may still use the routes of an earlier process,
	// that left with [Process.Keep], and this host still forwards them.
	Kept bool
}

// Process is the child, and what it is to do. Its methods may be called at any
// time and never wait.
type Process struct {
	opts Options

	mu     sync.Mutex
	config *bgp.Config
	table  bgp.Table
	seq    uint64
	told   bool   // there is a table
	text   string // for the neighbors at the end
	keep   bool
	wake   chan struct{}
}

// New makes a Process; [Process.Run] starts it.
func New(opts Options) *Process {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Heartbeat <= 0 {
		opts.Heartbeat = defaultHeartbeat
	}
	return &Process{opts: opts, text: "vipd stops", wake: make(chan struct{}, 1)}
}

// Configure says who the neighbors are. Sessions are opened after the first
// [Process.Announce] as well.
func (p *Process) Configure(c bgp.Config) {
	p.set(func() { p.config = &c })
}

// Announce says all that is announced. seq comes back in [Announced]; the newest
// table replaces one that still waits, whose number never comes back.
func (p *Process) Announce(t bgp.Table, seq uint64) {
	p.set(func() { p.table, p.seq, p.told = maps.Clone(t), seq, true })
}

// Keep has the end of [Process.Run] say nothing to neighbors that agreed on a
// graceful restart, so that they keep the routes for the one who comes next.
// Others see the session end, and drop the routes.
func (p *Process) Keep() { p.set(func() { p.keep = true }) }

func (p *Process) set(change func()) {
	p.mu.Lock()
	change()
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default: // it is awake
	}
}

// Run starts the child, and again when it ends, until the context ends. report is
// called from one goroutine at a time, and may call the other methods. At the end
// the sessions are closed politely, for two seconds at most. The error says that
// the command can never be started; otherwise it is nil.
func (p *Process) Run(ctx context.Context, report func(Report)) error {
	if len(p.opts.Command) == 0 {
		return errors.New("start the BGP speaker: no command")
	}
	pause, kept := time.Duration(0), p.opts.Kept
	for {
		began := time.Now()
		err := p.once(ctx, kept, report)
		if ctx.Err() != nil {
			return nil
		}
		report(Down{Err: err})
		p.opts.Log.Error("speaker ended", "err", err)
		kept = true // neighbors that agreed on a graceful restart still use the routes
		if time.Since(began) > 2*lastPause {
			pause = 0
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(max(2*pause, firstPause), lastPause)
	}
}

// once is the life of one child.
func (p *Process) once(ctx context.Context, kept bool, report func(Report)) error {
	cmd := exec.Command(p.opts.Command[0], p.opts.Command[1:]...)
	// A terminal's and a service manager's signals are for us, who tell the child.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	complaints, err3 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("start the BGP speaker: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the BGP speaker: %w", err)
	}
	l := &life{Process: p, in: in, kill: func() { _ = cmd.Process.Kill() }, again: make(chan struct{}, 1), heard: make(chan struct{}, 1)}
	var wg sync.WaitGroup
	var last string
	wg.Go(func() { last = p.repeat(complaints) })
	gone := make(chan struct{})
	var spoke error
	wg.Go(func() { defer close(gone); spoke = l.listen(out, report, cmd.Process.Pid) })
	spoken := make(chan struct{})
	wg.Go(func() { defer close(spoken); l.talk(ctx, kept, gone) })
	<-gone
	<-spoken
	timer := time.AfterFunc(endTime, l.kill)
	wg.Wait() // before Wait, which closes what they read
	err := cmd.Wait()
	timer.Stop()
	switch {
	case l.killed.Load():
		return errors.New("killed: it gave no sign of life")
	case err != nil && last != "":
		return fmt.Errorf("%w: %s", err, last)
	case err != nil:
		return err
	case spoke != nil:
		return spoke
	}
	return errors.New("it ended without a reason")
}

// repeat copies the child's log into ours, and returns the last line that was no
// part of it: what a crash says.
func (p *Process) repeat(r io.Reader) (last string) {
	b := bufio.NewReaderSize(r, 64<<10)
	for {
		text, err := b.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && len(text) == 0 {
			return last
		}
		var record map[string]any
		if json.Unmarshal(text, &record) != nil {
			if line := string(text[:max(len(text)-1, 0)]); line != "" {
				if last == "" { // a panic's first line says most
					last = line
				}
				p.opts.Log.Warn("speaker said", "line", line)
			}
			continue
		}
		level := slog.LevelInfo
		_ = level.UnmarshalText(fmt.Append(nil, record["level"])) // info if it is another program's
		msg := fmt.Sprint(record["msg"])
		for _, known := range []string{"time", "level", "msg"} {
			delete(record, known)
		}
		attrs := make([]any, 0, 2*len(record))
		for _, key := range slices.Sorted(maps.Keys(record)) {
			attrs = append(attrs, key, record[key])
		}
		p.opts.Log.Log(context.Background(), level, msg, attrs...)
	}
}

// life is the conversation with one child.
type life struct {
	*Process
	in    io.WriteCloser
	kill  func()
	again chan struct{} // it wants to hear everything
	heard chan struct{} // it gave a sign of life

	killed atomic.Bool
}

// end kills the child because it gives no sign of life.
func (l *life) end() {
	l.killed.Store(true)
	l.kill()
}

// listen reads what the child says, until it ends.
func (l *life) listen(out io.Reader, report func(Report), pid int) error {
	from := newLines(out)
	for {
		m, err := from.next()
		switch bad := (errLine{}); {
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed):
			return nil
		case errors.As(err, &bad):
			l.opts.Log.Error("unreadable line from the speaker", "err", err)
			continue
		case err != nil:
			return fmt.Errorf("read from the BGP speaker: %w", err)
		}
		signal(l.heard)
		switch {
		case m.Hello != nil && m.Hello.Protocol != protocol:
			l.kill()
			return fmt.Errorf("the BGP speaker speaks version %d of the protocol, this program %d", m.Hello.Protocol, protocol)
		case m.Hello != nil:
			report(Up{PID: pid})
		case m.Session != nil:
			report(Session{*m.Session})
		case m.Announced != nil:
			report(Announced{Seq: m.Announced.Seq, Count: m.Announced.Count})
		case m.Seen != nil:
			report(Seen{Prefix: m.Seen.Prefix, Others: m.Seen.Others})
		case m.Again != "":
			signal(l.again)
			report(Silenced{Why: m.Again})
		}
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is signalled
	}
}

// talk tells the child what changed, and that we live, until it or the context
// ends.
func (l *life) talk(ctx context.Context, kept bool, gone <-chan struct{}) {
	defer func() { _ = l.in.Close() }() // the child ends then, if it did not before
	beat := time.NewTicker(l.opts.Heartbeat)
	defer beat.Stop()
	deaf := time.NewTimer(deafBeats * l.opts.Heartbeat)
	defer deaf.Stop()
	w := watchdog(l.in, deafBeats*l.opts.Heartbeat, l.end)
	w.send(message{Hello: &hello{Protocol: protocol, Heartbeat: l.opts.Heartbeat, Kept: kept}})
	var s sent
	l.update(w, &s)
	for {
		select {
		case <-ctx.Done():
			l.mu.Lock()
			m := leave{Text: l.text, Keep: l.keep}
			l.mu.Unlock()
			w.send(message{Leave: &m})
			return
		case <-gone:
			return
		case <-l.wake:
			l.update(w, &s)
		case <-l.again:
			s = sent{config: s.config}
			l.update(w, &s)
		case <-l.heard:
			deaf.Reset(deafBeats * l.opts.Heartbeat)
		case <-deaf.C:
			l.end()
			return
		case <-beat.C:
			if l.opts.Alive == nil || l.opts.Alive() {
				w.send(message{Beat: true})
			}
		}
	}
}

// sent is what this child was told.
type sent struct {
	config *bgp.Config
	table  bgp.Table
	seq    uint64
	whole  bool
}

// update tells the child what it does not know.
func (l *life) update(w *writer, s *sent) {
	l.mu.Lock()
	config, table, seq, told := l.config, l.table, l.seq, l.told
	l.mu.Unlock()
	if config != nil && config != s.config {
		w.send(message{Config: config})
		s.config = config
	}
	if !told || s.whole && s.seq == seq {
		return
	}
	for _, m := range split(seq, !s.whole, bgp.Diff(s.table, table)) {
		w.send(m)
	}
	s.table, s.seq, s.whole = table, seq, true
}

// writer writes messages to the child, and has it killed when it reads none of
// them for too long.
type writer struct {
	w     io.Writer
	limit time.Duration
	late  func()
}

func watchdog(w io.Writer, limit time.Duration, late func()) *writer { return &writer{w, limit, late} }

func (w *writer) send(m message) {
	b, err := encode(m)
	if err != nil {
		return // nothing that the rest of the program makes is so long
	}
	timer := time.AfterFunc(w.limit, w.late)
	_, _ = w.w.Write(b) // a child that is gone says so on its other pipe
	timer.Stop()
}
