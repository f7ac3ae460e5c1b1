package probe

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// Result is the verdict of one probe.
type Result struct {
	OK     bool
	Detail string        // one line for a human, never empty: "exit 1: backend 3 of 5"
	Took   time.Duration // until the verdict was certain
}

// Settings are what probes need beside their spec.
type Settings struct {
	Check string       // name of the check, for programs: VIPD_CHECK
	User  string       // who runs programs of checks that name no user; "" = vipd's own user
	Log   *slog.Logger // nil = nowhere
}

func (s Settings) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// Probe carries out one probe. It returns soon after ctx ends at the latest,
// unless the kernel itself does not answer (a dead network file system).
type Probe func(ctx context.Context, spec check.Spec, s Settings) Result

// probes has a probe for every type of check.
var probes = map[string]Probe{
	"exec":    of(Exec),
	"tcp":     of(TCP),
	"file":    of(File),
	"http":    of(HTTP),
	"tls":     of(TLS),
	"grpc":    of(GRPC),
	"process": of(Process),
	"unit":    of(Unit),
	"dns":     of(DNS),
	"icmp":    of(ICMP),
}

// of makes a Probe of a function for one type of spec.
func of[S check.Spec](fn func(context.Context, S, Settings) Result) Probe {
	return func(ctx context.Context, spec check.Spec, s Settings) Result {
		sp, ok := spec.(S)
		if !ok {
			return Result{Detail: fmt.Sprintf("no probe for %T", spec)}
		}
		return fn(ctx, sp, s)
	}
}

// Once probes once, now, within cfg.Timeout.
func Once(ctx context.Context, cfg check.Config, s Settings) Result {
	if cfg.Spec == nil {
		return Result{Detail: "no probe: the check has no type"}
	}
	probe, ok := probes[cfg.Spec.Type()]
	if !ok {
		return Result{Detail: fmt.Sprintf("no probe for type %s", cfg.Spec.Type())}
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, timeoutKey{}, cfg.Timeout), cfg.Timeout)
	defer cancel()
	start := time.Now()
	res := probe(ctx, cfg.Spec, s)
	if res.Took == 0 {
		res.Took = time.Since(start)
	}
	return res
}

// timeoutKey is where a context has the timeout of the probe.
type timeoutKey struct{}

// limit is the timeout of the probe, for messages. It is not what is left of it:
// on a busy host that differs from what the operator wrote.
func limit(ctx context.Context) time.Duration {
	timeout, _ := ctx.Value(timeoutKey{}).(time.Duration)
	return timeout
}
