package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// say prints one line of the story.
func (s *stage) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.opts.Out, format+"\n", args...)
}

// title opens an act.
func (s *stage) title(text string) {
	if s.opts.Title != nil {
		text = s.opts.Title(text)
	}
	s.say("\n%s", text)
}

// tell says what an act cost.
func (s *stage) tell(r *Result) {
	verb := "answers"
	if strings.Contains(r.To, ",") {
		verb = "answer"
	}
	switch {
	case r.From == r.To && r.Lost == 0:
		s.say("   %s %s every probe.", r.To, verb)
	case r.Lost == 0:
		s.say("   %s %s after %s; no probe lost.", r.To, verb, ms(r.Moved))
	default:
		s.say("   %s %s after %s; %s lost, outage %s.", r.To, verb, ms(r.Moved), probes(r.Lost), ms(r.Outage))
	}
	if r.Limit > 0 {
		s.say("   The protocol itself waits up to %s (%s).", ms(r.Limit), r.Expected)
	}
}

// command runs a vipd command against the daemon of a host, and shows both it
// and what it prints.
func (s *stage) command(ctx context.Context, h *host, args ...string) error {
	line := "vipd"
	for _, a := range args {
		if strings.Contains(a, " ") {
			a = fmt.Sprintf("%q", a)
		}
		line += " " + a
	}
	s.say("\n%s# %s", h.Name, line)
	if s.opts.NoColor {
		args = append(args, "--no-color")
	}
	cmd := h.agent.Command(ctx, args...)
	var errs strings.Builder
	cmd.Stdout, cmd.Stderr = s.opts.Out, &errs
	if s.opts.Out == io.Discard {
		cmd.Stdout = nil
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s on %s: %w: %s", line, h.Name, err, strings.TrimSpace(errs.String()))
	}
	return nil
}

// ms writes a duration in milliseconds.
func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

// probes writes "1 probe", "2 probes".
func probes(n int) string {
	if n == 1 {
		return "1 probe"
	}
	return fmt.Sprintf("%d probes", n)
}
