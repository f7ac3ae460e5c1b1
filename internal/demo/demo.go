package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Options says how the demo is played.
type Options struct {
	Program string              // path of the vipd that is shown
	Out     io.Writer           // the story; a terminal gets what the commands print for one
	Title   func(string) string // how the title of an act stands out; nil = not
	NoColor bool                // for the commands that are run
	Pace    time.Duration       // between two acts, for the reader's eyes
	Picture io.Writer           // gets a timeline as SVG; nil = there is none
}

// Run plays every act until one fails or ctx ends, and takes the lab down
// again. It must be called in a process that testenv.Isolate has put into
// namespaces of its own.
func Run(ctx context.Context, opts Options) *Document {
	doc := &Document{Schema: schema, Started: time.Now(), Allowance: allowance, Acts: []Result{}, NotPrevented: notPrevented}
	s, err := build(opts, doc)
	if err == nil {
		err = s.play(ctx)
	}
	doc.end(ctx, s, err)
	return doc
}

// end takes the stage down and says how the play went.
func (doc *Document) end(ctx context.Context, s *stage, err error) {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		err = errors.New("interrupted")
	case ctx.Err() != nil:
		err = errors.New("the demo took longer than it may")
	case err != nil:
		doc.Logs = s.logs()
	}
	err = cmp.Or(err, s.close())
	if err != nil {
		doc.Problem = err.Error()
	}
	doc.OK, doc.Took = err == nil, time.Since(doc.Started)
}

// play plays the acts, one after the other, while the client's probes run.
func (s *stage) play(ctx context.Context) error {
	s.say("Two hosts, lb1 (priority %d) and lb2 (%d), and a client on a switch: network", priority1, priority2)
	s.say("namespaces that end with this command. The vip %s is %s; adverts go", vipName, vip)
	s.say("out every %v. The client sends %d probes a second and sees who answers.", interval, probeRate)
	if err := s.open(ctx); err != nil {
		return err
	}
	for i, a := range acts {
		if i > 0 {
			pause(ctx, s.opts.Pace)
		}
		s.title(fmt.Sprintf("%d. %s", i+1, a.title))
		if err := s.playOne(ctx, a); err != nil {
			s.played[i].result.Problem = err.Error()
			return cmp.Or(fmt.Errorf("act %d, %s: %w", i+1, a.name, err), s.finish())
		}
	}
	err := s.finish()
	if s.opts.Picture != nil {
		err = cmp.Or(err, s.draw(ctx, s.opts.Picture, s.probes.Stop()))
	}
	return err
}

// pause gives the reader time to read; it is no part of what is measured.
func pause(ctx context.Context, length time.Duration) {
	if length <= 0 {
		return
	}
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
