package agent

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/vipd/vipd/pkg/fence"
)

// Device is a device, and the secrets that its agent needs. A secret's option is
// one of an agent's, such as "password" or "snmp_priv_passwd".
type Device struct {
	fence.Device
	Secrets []fence.Option
}

// overtime is how long after its timeout an agent is given up that the kernel
// does not let end.
const overtime = 250 * time.Millisecond

// Runner carries agents out beside a loop that must not wait for them. Its
// methods may be called from any goroutine, and none of them waits.
type Runner struct {
	log  *slog.Logger
	wake chan struct{} // holds a token while jobs is not empty

	mu      sync.Mutex
	user    string
	devices map[string]Device
	running map[key]context.CancelFunc
	jobs    []func(context.Context)
}

// key is unique among the attempts of all peers.
type key struct {
	peer string
	id   uint64
}

// NewRunner returns a Runner that knows no devices yet. It works while
// [Runner.Run] does; what is started earlier waits until then.
func NewRunner(log *slog.Logger) *Runner {
	return &Runner{log: log, wake: make(chan struct{}, 1), running: map[key]context.CancelFunc{}}
}

// Configure replaces the devices, and who runs their programs ("" = vipd's own
// user), for what is started from now on.
func (r *Runner) Configure(user string, devices map[string]Device) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.user, r.devices = user, devices
}

// Start has the agent of a device do something. done gets how that ended, once,
// in a goroutine of the Runner; never after the end of Run.
func (r *Runner) Start(a fence.RunAgent, done func(fence.Ended)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	k := key{a.Peer, a.ID}
	r.running[k] = cancel
	d, known := r.devices[a.Device]
	user := r.user
	r.jobs = append(r.jobs, func(all context.Context) {
		defer context.AfterFunc(all, cancel)()
		end := fence.Ended{ID: a.ID, Exit: -1, Detail: "there is no such device any more"}
		if known {
			end = r.bounded(ctx, a, d, user)
		}
		r.forget(k)
		if all.Err() == nil {
			done(end)
		}
	})
	select {
	case r.wake <- struct{}{}:
	default: // there is a token already
	}
}

// Stop kills an agent that runs. It is answered as one that failed.
func (r *Runner) Stop(peer string, id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.running[key{peer, id}]; cancel != nil {
		cancel()
	}
}

func (r *Runner) forget(k key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[k]()
	delete(r.running, k)
}

// Run does what is asked for, until ctx ends: then it kills the agents that run,
// and returns when they are gone.
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
		jobs := r.jobs
		r.jobs = nil
		r.mu.Unlock()
		for _, job := range jobs {
			wg.Go(func() { job(ctx) })
		}
	}
}

// bounded does once what a asks for, and gives up what does not end. Nothing of
// what it returns holds a secret.
func (r *Runner) bounded(ctx context.Context, a fence.RunAgent, d Device, user string) fence.Ended {
	begin := time.Now()
	ended := make(chan fence.Ended, 1)
	go func() { ended <- Once(ctx, a, d, user) }()
	limit := time.NewTimer(a.Timeout + grace + overtime)
	defer limit.Stop()
	var end fence.Ended
	select {
	case end = <-ended:
	case <-limit.C:
		end = fence.Ended{ID: a.ID, Exit: -1, Late: true, Detail: "not done within " + a.Timeout.String() + ", and hangs in the kernel still"}
	}
	r.log.Debug("fence agent ended", "peer", a.Peer, "device", a.Device, "action", a.Verb, "exit", end.Exit, "late", end.Late,
		"took", time.Since(begin), "detail", end.Detail)
	return end
}

// Once does what a asks for, now, and returns when it is done, or soon after its
// timeout.
func Once(ctx context.Context, a fence.RunAgent, d Device, user string) fence.Ended {
	var end fence.Ended
	switch d.Agent {
	case fence.AgentManual:
		end = fence.Ended{Exit: -1, Detail: "this is for an operator"}
	case fence.AgentRedfish:
		end = redfish(ctx, a, d)
	default:
		end = runProgram(ctx, a, d, user)
	}
	end.ID, end.Detail = a.ID, withoutSecrets(end.Detail, d.Secrets)
	return end
}

// withoutSecrets hides the secrets of a device in what its agent printed.
func withoutSecrets(s string, secrets []fence.Option) string {
	for _, o := range secrets {
		if o.Value != "" {
			s = strings.ReplaceAll(s, o.Value, "***")
		}
	}
	return s
}
