package probe

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// overtime is how long after its timeout a probe is given up.
const overtime = 250 * time.Millisecond

// Runner carries probes and watches out beside a loop that must not wait for
// them: never two probes at once for one check, any number of checks at once.
type Runner struct {
	once func(context.Context, check.Config, Settings) Result // Once, except in tests
	wake chan struct{}                                        // holds a token while queue or arriving is not empty

	mu       sync.Mutex
	settings Settings
	jobs     map[string]*job // queued or running, by name of the check
	queue    []*job
	watched  map[string]*watched // by name of the check
	arriving []*watched          // not begun yet
}

// job is one probe that was asked for.
type job struct {
	name string
	cfg  check.Config
	done func(name string, r Result)

	next    *job // asked for while this one ran
	lost    bool // given up: the kernel does not let it end
	refused bool // not run at all, since a lost one is still there
}

// NewRunner returns a Runner. It works while [Runner.Run] does; what is started
// earlier waits until then.
func NewRunner(s Settings) *Runner {
	return &Runner{
		once: Once, wake: make(chan struct{}, 1), settings: s, jobs: make(map[string]*job), watched: make(map[string]*watched),
	}
}

// Configure replaces the settings for probes that start from now on. Their Check
// field is set for each probe.
func (r *Runner) Configure(s Settings) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settings = s
}

// Start asks for one probe and returns at once. done gets the result, once, in a
// goroutine of the Runner; it must not block longer than the context of Run
// lives. When a probe of that name is running already, the new one follows it,
// and only the newest one asked for is carried out and answered. After the end
// of Run nothing is answered any more.
func (r *Runner) Start(name string, cfg check.Config, done func(name string, r Result)) {
	j := &job{name: name, cfg: cfg, done: done}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch old := r.jobs[name]; {
	case old == nil:
		r.enqueue(j)
	case old.lost:
		j.refused = true
		r.queue = append(r.queue, j)
		r.signal()
	default:
		old.next = j
	}
}

// enqueue needs mu.
func (r *Runner) enqueue(j *job) {
	r.jobs[j.name] = j
	r.queue = append(r.queue, j)
	r.signal()
}

func (r *Runner) signal() {
	select {
	case r.wake <- struct{}{}:
	default: // there is a token already
	}
}

// Run carries out what Start and Watch ask for, until ctx ends. Then it kills the
// running programs, ends the watches, and returns when all are gone.
func (r *Runner) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		r.mu.Lock()
		queue, arriving, s := r.queue, r.arriving, r.settings
		r.queue, r.arriving = nil, nil
		r.mu.Unlock()
		for _, w := range arriving {
			wg.Go(func() { w.look(ctx, s.log()) })
		}
		for _, j := range queue {
			wg.Go(func() { r.serve(ctx, j, s) })
		}
	}
}

// serve carries out one job. A probe that the kernel does not let end (a hung
// file system) is given up and answered, so that the check fails as it must;
// until it does end no other one of that name is started.
func (r *Runner) serve(ctx context.Context, j *job, s Settings) {
	if j.refused {
		j.answer(ctx, Result{Detail: "the last probe hangs in the kernel still"})
		return
	}
	s.Check = j.name
	verdict := make(chan Result, 1)
	start := time.Now()
	go func() { verdict <- r.once(ctx, j.cfg, s) }()
	late := time.NewTimer(j.cfg.Timeout + overtime)
	defer late.Stop()
	select {
	case res := <-verdict:
		if !r.finish(j) {
			j.answer(ctx, res)
		}
		return
	case <-late.C:
	}
	r.giveUp(j).answer(ctx, Result{
		Detail: fmt.Sprintf("hangs in the kernel, not done within %v", j.cfg.Timeout),
		Took:   time.Since(start),
	})
	select {
	case <-verdict:
		r.finish(j)
	case <-ctx.Done():
	}
}

// finish makes room for the next probe of that name, and reports whether one
// was asked for meanwhile: it replaces j.
func (r *Runner) finish(j *job) (replaced bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if j.next != nil {
		r.enqueue(j.next)
		return true
	}
	delete(r.jobs, j.name)
	return false
}

// giveUp marks j as lost and returns the job to answer: the newest one.
func (r *Runner) giveUp(j *job) *job {
	r.mu.Lock()
	defer r.mu.Unlock()
	j.lost = true
	if next := j.next; next != nil {
		j.next = nil
		return next
	}
	return j
}

// answer hands the result over, unless nobody is interested any more.
func (j *job) answer(ctx context.Context, res Result) {
	if ctx.Err() == nil {
		j.done(j.name, res)
	}
}
