package control

import (
	"context"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/whatif"
	"github.com/vipd/vipd/pkg/fence"
)

// Backend is the daemon as the control socket sees it. Every method may be
// called from many goroutines at once.
type Backend interface {
	Source
	Commander
}

// Source tells what is and what was.
type Source interface {
	// Status returns a copy of everything that there is to know. The schema is
	// filled in by the server.
	Status(ctx context.Context) (StatusDocument, error)

	// Records returns the records with a Seq above since, oldest first, and a
	// channel that is closed as soon as there is a newer one than those.
	Records(since uint64) (records []engine.Record, more <-chan struct{})

	// WhatIf answers a question from the live state, which it does not change.
	// The error is a whatif.UnknownError when the question names something that
	// there is not.
	WhatIf(ctx context.Context, q whatif.Question) (whatif.Answer, error)

	// FenceHistory returns what became of peers that were to be cut off, oldest
	// first.
	FenceHistory() fence.History

	// Config returns the configuration that runs as TOML, without secrets: what
	// the files say, or, effective, every key with its default filled in.
	Config(effective bool) string
}

// Commander changes things.
type Commander interface {
	// Do gives a Drain, Undrain, Failover, Drill or ConfirmFence to the engine, with an ID of the
	// backend's choice, and returns its answer; or a Noted, whose answer is empty. A refusal is an answer, not an
	// error. When ctx ends first, the command may still be carried out.
	Do(ctx context.Context, ev engine.Event) (engine.Answer, error)

	// RunCheck makes one probe of a check now. Its result does not count
	// towards rise and fall. An unknown name was sorted out before.
	RunCheck(ctx context.Context, name string) (CheckResult, error)

	// TestFence reads a fence device now, and changes nothing. An unknown name was
	// sorted out before.
	TestFence(ctx context.Context, device string) (FenceTest, error)

	// Reload reads the configuration again and, unless it is only a dry run,
	// applies it when it is valid. An invalid one is a result with Problems, not an
	// error, and changes nothing; so does one that is Refused, because the reload
	// before it waits for its confirmation.
	Reload(ctx context.Context, actor engine.Actor, how ReloadKind) (ReloadResult, error)

	// Confirm keeps what a reload with ConfirmWithin has changed. It is Refused when
	// none waits for that.
	Confirm(ctx context.Context, actor engine.Actor) (ReloadResult, error)
}

// ReloadKind says how to reload.
type ReloadKind struct {
	Dry           bool          // only say what would change
	ConfirmWithin time.Duration // take it back after this time unless it is confirmed; 0 = never
}
