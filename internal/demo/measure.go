package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/testenv"
)

// allowance is what a limit may be exceeded by on a machine that does other
// things as well. What was measured is shown as it is.
const allowance = 150 * time.Millisecond

// settle is how long the new holder must answer before an act is over: by then
// every probe of the outage is either answered or lost.
const settle = testenv.ProbeTimeout

// inFlight is how long before an act a probe was sent that the act may still
// cost.
const inFlight = 20 * time.Millisecond

// playOne plays one act and tells what it cost.
func (s *stage) playOne(ctx context.Context, a act) error {
	begun := time.Now()
	r := &Result{
		Name: a.name, Title: a.title, From: s.holder, To: a.expect.holder,
		Limit: a.expect.limit(s.doc), Expected: a.expect.words,
	}
	s.played = append(s.played, played{begun: begun, result: r})
	if err := s.perform(ctx, a); err != nil {
		return err
	}
	report := s.probes.Report()
	if first, ok := report.FirstAnswerFrom(r.To, begun); ok && r.From != r.To {
		r.Moved = first.Answered.Sub(begun)
	}
	s.holder = r.To
	r.measure(report.Since(begun.Add(-inFlight)))
	s.tell(r)
	if a.show == nil {
		return nil
	}
	return a.show(s, ctx)
}

// perform does what an act is about and waits for its effect.
func (s *stage) perform(ctx context.Context, a act) error {
	if err := a.do(s, ctx); err != nil {
		return err
	}
	if err := s.answered(ctx, a.expect.holder, settle); err != nil {
		return err
	}
	holder, other := s.pair(a.expect.holder)
	if err := s.waitState(ctx, holder, string(engine.Active)); err != nil {
		return err
	}
	if a.expect.other == "" {
		return nil
	}
	return s.waitState(ctx, other, a.expect.other)
}

// measure takes the figures of an act from what the client saw.
func (r *Result) measure(report *testenv.Report) {
	r.Outage, r.Slowest, r.Lost = report.LongestGap, 0, report.Lost
	for _, p := range report.Probes() {
		r.Slowest = max(r.Slowest, p.Answered.Sub(p.Sent)) // negative without an answer
	}
}

// judge says what is wrong with the figures, if anything is.
func (r *Result) judge() error {
	longest := r.Outage
	if !r.flows {
		longest = max(r.Outage, r.Slowest)
	}
	switch {
	case r.From == r.To && r.Lost > 0:
		return fmt.Errorf("%s: %s lost, although nothing happened", r.Name, probes(r.Lost))
	case longest > r.Limit+allowance:
		return fmt.Errorf("%s: no answer for %s, which is more than %s (%s) and %s for a busy machine", r.Name, ms(longest), ms(r.Limit), r.Expected, ms(allowance))
	}
	return nil
}

// finish ends the probes and puts the final figures, which cover every probe of
// the run, into the document.
func (s *stage) finish() error {
	report := s.probes.Stop()
	s.doc.Sent, s.doc.Lost, s.doc.Skipped = report.Sent, report.Lost, report.Skipped
	var errs []error
	for i, p := range s.played {
		var end time.Time
		if i+1 < len(s.played) {
			end = s.played[i+1].begun.Add(-inFlight)
		}
		r := p.result
		part := report.Between(p.begun.Add(-inFlight), end)
		if r.measure(part); s.doc.Anycast {
			r.measureFlows(part)
		}
		if err := r.judge(); err != nil && r.Problem == "" {
			r.Problem = err.Error()
			errs = append(errs, err)
		}
		r.OK = r.Problem == ""
		s.doc.Acts = append(s.doc.Acts, *r)
	}
	return errors.Join(errs...)
}
