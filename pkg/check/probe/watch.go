package probe

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// fastest is the pace at which a watch looks again while its check is down and
// nothing would tell of the change.
const fastest = 100 * time.Millisecond

// Seen is how a watched check stands.
type Seen struct {
	OK     bool
	Detail string // one line for a human, never empty: "no process haproxy"
	Weight *int   // what a file with a value says, -253 to 253; nil = nothing
}

// same reports whether s tells nothing that other does not.
func (s Seen) same(other Seen) bool {
	if (s.Weight == nil) != (other.Weight == nil) || s.Weight != nil && *s.Weight != *other.Weight {
		return false
	}
	return s.OK == other.OK && s.Detail == other.Detail
}

// result is s as the verdict of one look.
func (s Seen) result() Result { return Result{OK: s.OK, Detail: s.Detail} }

// scene is what a watch needs beside its spec.
type scene struct {
	every time.Duration // look this often even without news
	see   func(Seen)    // takes how things stand; repeating it costs nothing
	log   *slog.Logger
}

// watch looks at one thing until ctx ends, and tells how it stands, first at
// once.
type watch func(ctx context.Context, spec check.Spec, sc scene)

// watches has a watch for every type of check that is watched.
var watches = map[string]watch{
	"file":    watchOf(watchFile),
	"process": watchOf(watchProcess),
	"unit":    watchOf(watchUnit),
}

// watchOf makes a watch of a function for one type of spec.
func watchOf[S check.Spec](fn func(context.Context, S, scene)) watch {
	return func(ctx context.Context, spec check.Spec, sc scene) {
		if sp, ok := spec.(S); ok {
			fn(ctx, sp, sc)
			return
		}
		sc.see(Seen{Detail: fmt.Sprintf("no watch for %T", spec)})
	}
}

// watched is one watch that was asked for.
type watched struct {
	name   string
	cfg    check.Config
	seen   func(ctx context.Context, name string, s Seen)
	ctx    context.Context // ends with Unwatch, a replacement, or Run
	cancel context.CancelFunc
}

// Watch asks to watch what a check is about, from now on, instead of what was
// watched under that name before. It returns at once. seen gets how it stands
// first, and again whenever that changes, one call after the other, from a
// goroutine of the Runner. The ctx of a call ends with the watch: by Unwatch,
// by the next Watch of that name, or with Run. A call that is under way then
// must end, and what it says is out of date.
func (r *Runner) Watch(name string, cfg check.Config, seen func(ctx context.Context, name string, s Seen)) {
	w := &watched{name: name, cfg: cfg, seen: seen}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unwatch(name)
	r.watched[name] = w
	r.arriving = append(r.arriving, w)
	r.signal()
}

// Unwatch ends what Watch began under that name, if anything.
func (r *Runner) Unwatch(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unwatch(name)
}

// unwatch needs mu.
func (r *Runner) unwatch(name string) {
	if w := r.watched[name]; w != nil {
		w.cancel()
		delete(r.watched, name)
	}
}

// look carries out one watch until it ends.
func (w *watched) look(run context.Context, log *slog.Logger) {
	defer context.AfterFunc(run, w.cancel)()
	defer w.cancel()
	var last Seen
	see := func(s Seen) {
		if last.Detail != "" && s.same(last) || w.ctx.Err() != nil {
			return
		}
		last = s
		w.seen(w.ctx, w.name, s)
	}
	if w.cfg.Spec == nil {
		see(Seen{Detail: "nothing to watch: the check has no type"})
		return
	}
	watch, ok := watches[w.cfg.Spec.Type()]
	if !ok {
		see(Seen{Detail: fmt.Sprintf("no watch for type %s", w.cfg.Spec.Type())})
		return
	}
	watch(w.ctx, w.cfg.Spec, scene{every: max(w.cfg.Interval, check.MinInterval), see: see, log: log.With("check", w.name)})
}
