package hook

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/vipd/vipd/internal/program"
)

const (
	queueMost = 64                     // changes of one VIP or group that wait
	grace     = 2 * time.Second        // between SIGTERM and SIGKILL
	overtime  = 250 * time.Millisecond // after which what cannot be killed is given up
)

// Runner runs hooks beside a loop that must not wait for them. It works while
// [Runner.Run] does; what is asked for earlier waits until then. Its methods may
// be called from any goroutine, and none of them waits for a program.
type Runner struct {
	log  *slog.Logger
	once func(context.Context, program.Program) program.Ended // program.Run, except in tests
	wake chan struct{}                                        // holds a token while jobs is not empty
	news chan struct{}                                        // holds a token while reports is not empty

	mu       sync.Mutex
	settings Settings
	hooks    map[Subject]Hooks
	queues   map[Subject]*queue
	before   map[string]*takeover // the newest one, by VIP
	fifos    map[string]*fifo
	jobs     []func(context.Context) // goroutines to start
	reports  []Done
	counters Counters
}

// queue is the changes of one VIP or group that wait for their turn.
type queue struct {
	waiting []task
	busy    bool // somebody serves it
}

// task is one change to tell, with the hooks as they were when it came.
type task struct {
	change   Change
	hooks    Hooks
	settings Settings
}

// takeover is one run of a before_hold.
type takeover struct {
	seq    uint64
	cancel context.CancelFunc
	ended  chan struct{} // closed when nothing of it runs any more
}

// NewRunner returns a Runner that knows no hooks yet.
func NewRunner(log *slog.Logger) *Runner {
	return &Runner{
		log: log, once: program.Run, wake: make(chan struct{}, 1), news: make(chan struct{}, 1),
		hooks: map[Subject]Hooks{}, queues: map[Subject]*queue{}, before: map[string]*takeover{}, fifos: map[string]*fifo{},
		counters: Counters{Runs: map[Run]uint64{}, Took: map[Kind]Took{}},
	}
}

// Configure replaces the settings, and the hooks of those that are named, for
// the changes that come from now on. Others keep theirs until [Runner.Forget]:
// one that a reload removed has its last change still to come.
func (r *Runner) Configure(s Settings, hooks map[Subject]Hooks) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settings = s
	for subject, h := range hooks {
		r.hooks[subject] = h
		if h.FIFO != "" {
			r.write(h.FIFO, "") // makes it, so that a reader finds it
		}
	}
}

// Forget drops the hooks of a VIP or group. What waits is told still.
func (r *Runner) Forget(s Subject) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.hooks, s)
}

// Notify tells of a change. It is answered once, in order.
func (r *Runner) Notify(c Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hooks[c.Subject]
	if h.FIFO != "" {
		r.write(h.FIFO, c.line())
	}
	if len(h.Notify) == 0 {
		r.report(Done{Kind: Notify, Change: c})
		return
	}
	q := r.queues[c.Subject]
	if q == nil {
		q = &queue{}
		r.queues[c.Subject] = q
	}
	if h.Coalesce {
		for _, t := range q.waiting {
			r.finish(Done{Kind: Notify, Change: t.change, Result: Coalesced})
		}
		q.waiting = nil
	}
	if len(q.waiting) == queueMost {
		oldest := q.waiting[0].change
		q.waiting = q.waiting[1:]
		r.finish(Done{Kind: Notify, Change: oldest, Result: Dropped, Detail: fmt.Sprintf("not run, %d newer changes wait", queueMost)})
	}
	q.waiting = append(q.waiting, task{c, h, r.settings})
	if !q.busy {
		q.busy = true
		r.start(func(ctx context.Context) { r.serve(ctx, c.Subject, q) })
	}
}

// Before runs the before_hold of a VIP, and ends it after within. One that still
// runs for an earlier Before is killed first. It is answered, unless [Runner.Stop]
// comes first.
func (r *Runner) Before(c Change, seq uint64, within time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hooks[c.Subject]
	if len(h.BeforeHold) == 0 { // a reload took it away
		r.report(Done{Kind: BeforeHold, Change: c, Seq: seq, Result: OK, Detail: "there is none any more"})
		return
	}
	last := r.before[c.Name]
	if last != nil {
		last.cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &takeover{seq: seq, cancel: cancel, ended: make(chan struct{})}
	r.before[c.Name] = t
	p := programOf(h.BeforeHold, c, r.settings, within)
	r.start(func(all context.Context) {
		defer context.AfterFunc(all, cancel)()
		r.hold(ctx, t, last, p, c)
	})
}

// Stop kills the before_hold that was started with seq, if it still runs.
func (r *Runner) Stop(vip string, seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.before[vip]; t != nil && t.seq == seq {
		t.cancel()
	}
}

// Run does what is asked for, until ctx ends: then it kills what runs, and
// returns when that is gone. done gets the answers, one at a time.
func (r *Runner) Run(ctx context.Context, done func(Done)) {
	var wg sync.WaitGroup
	defer r.closeFIFOs()
	defer wg.Wait()
	wg.Go(func() { r.answer(ctx, done) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		r.mu.Lock()
		jobs := r.jobs
		r.jobs = nil
		r.mu.Unlock()
		for _, job := range jobs {
			wg.Go(func() { job(ctx) })
		}
	}
}

// answer hands out reports until ctx ends.
func (r *Runner) answer(ctx context.Context, done func(Done)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.news:
		}
		r.mu.Lock()
		reports := r.reports
		r.reports = nil
		r.mu.Unlock()
		for _, d := range reports {
			done(d)
		}
	}
}

// start, report and finish need mu.
func (r *Runner) start(job func(context.Context)) {
	r.jobs = append(r.jobs, job)
	signal(r.wake)
}

func (r *Runner) report(d Done) {
	r.reports = append(r.reports, d)
	signal(r.news)
}

// finish counts what ended, and reports it.
func (r *Runner) finish(d Done) {
	r.counters.count(d.Kind, d.Result, d.Took)
	if d.Result == Coalesced {
		d.Result = "" // as the operator wants it: counted, and no event
	}
	r.report(d)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // there is a token
	}
}

// serve tells what waits in a queue, one after the other.
func (r *Runner) serve(ctx context.Context, s Subject, q *queue) {
	for ctx.Err() == nil {
		r.mu.Lock()
		if len(q.waiting) == 0 {
			q.busy = false
			delete(r.queues, s)
			r.mu.Unlock()
			return
		}
		t := q.waiting[0]
		q.waiting = q.waiting[1:]
		r.mu.Unlock()
		argv := append(t.hooks.Notify[:len(t.hooks.Notify):len(t.hooks.Notify)], t.change.arguments()...)
		r.run(ctx, programOf(argv, t.change, t.settings, t.hooks.Timeout), Done{Kind: Notify, Change: t.change})
	}
}

// hold runs a before_hold when the last one is gone.
func (r *Runner) hold(ctx context.Context, t, last *takeover, p program.Program, c Change) {
	defer close(t.ended)
	defer t.cancel()
	if last != nil {
		<-last.ended // it was killed
	}
	if ctx.Err() == nil {
		r.run(ctx, p, Done{Kind: BeforeHold, Change: c, Seq: t.seq})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.before[c.Name] == t {
		delete(r.before, c.Name)
	}
}

func programOf(argv []string, c Change, s Settings, within time.Duration) program.Program {
	return program.Program{Command: argv, User: s.User, Env: c.environment(s), Input: c.input(), Timeout: within, Grace: grace}
}

// run runs a program and reports its end. One that the kernel does not let end (a
// hung file system) is reported when it should have; run returns when it is gone,
// or when ctx ends.
func (r *Runner) run(ctx context.Context, p program.Program, d Done) {
	begin := time.Now()
	end := make(chan program.Ended, 1)
	go func() { end <- r.once(ctx, p) }()
	late := time.NewTimer(p.Timeout + p.Grace + overtime)
	defer late.Stop()
	stopped := ctx.Done()
	for reported := false; ; {
		select {
		case e := <-end:
			if !reported {
				d.Result, d.Detail, d.Took = result(e), e.Detail, e.Took
				r.ended(d)
			}
			return
		case <-late.C:
			if ctx.Err() != nil {
				return // killed, and not gone: it is the kernel's now
			}
			d.Result, d.Detail, d.Took = Timeout, fmt.Sprintf("hangs in the kernel, not done within %v", p.Timeout), time.Since(begin)
			r.ended(d)
			reported = true
		case <-stopped:
			stopped = nil
			late.Reset(overtime)
		}
	}
}

// ended takes the end of a program.
func (r *Runner) ended(d Done) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finish(d)
}

func result(e program.Ended) Result {
	switch {
	case e.Killed:
		return Stopped
	case e.Late:
		return Timeout
	case e.OK:
		return OK
	}
	return Failed
}
