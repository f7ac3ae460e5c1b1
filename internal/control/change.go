package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/vipd/vipd/pkg/engine"
)

const (
	changeTime = time.Minute      // bounds a change that nobody waits for
	waitTime   = 10 * time.Minute // bounds one with "wait"
	settleTick = 50 * time.Millisecond
	maxReason  = 256 // bytes of a drain's reason
	maxFor     = 366 * 24 * time.Hour
)

// drain answers POST /v1/drain.
func (s *Server) drain(c call) (any, error) {
	var req DrainRequest
	if err := decode(c.body, &req); err != nil {
		return nil, err
	}
	length, err := drainTime(req.For)
	if err != nil {
		return nil, err
	}
	if len(req.Reason) > maxReason || strings.ContainsFunc(req.Reason, unicode.IsControl) {
		return nil, problem(ProblemRequest, fmt.Sprintf("the reason must be one line of up to %d bytes", maxReason))
	}
	if err := s.known(c.Context(), req.Names); err != nil {
		return nil, err
	}
	ctx, cancel := limit(c.Context(), req.Wait)
	defer cancel()
	doc, err := s.do(ctx, engine.Drain{Names: req.Names, Actor: c.actor, Reason: req.Reason, For: length})
	if err != nil || !req.Wait {
		return doc, err
	}
	return doc, s.released(ctx, req.Names)
}

// undrain answers POST /v1/undrain.
func (s *Server) undrain(c call) (any, error) {
	var req DrainRequest
	if err := decode(c.body, &req); err != nil {
		return nil, err
	}
	if req.Reason != "" || req.For != "" || req.Wait {
		return nil, problem(ProblemRequest, "undrain takes names and nothing else")
	}
	if err := s.known(c.Context(), req.Names); err != nil {
		return nil, err
	}
	ctx, cancel := limit(c.Context(), false)
	defer cancel()
	return s.do(ctx, engine.Undrain{Names: req.Names, Actor: c.actor})
}

// failover answers POST /v1/vips/{name}/failover.
func (s *Server) failover(c call) (any, error) {
	var none struct{}
	if err := decode(c.body, &none); err != nil {
		return nil, err
	}
	name := c.PathValue("name")
	doc, err := s.current(c.Context())
	if err != nil {
		return nil, err
	}
	if _, err := findVIP(doc.Status, name); err != nil {
		return nil, err
	}
	ctx, cancel := limit(c.Context(), false)
	defer cancel()
	return s.do(ctx, engine.Failover{Name: name, Actor: c.actor})
}

// do gives an event to the engine and turns its answer into a document.
func (s *Server) do(ctx context.Context, ev engine.Event) (any, error) {
	ans, err := s.answerOf(ctx, ev)
	if err != nil {
		return nil, err
	}
	return AnswerDocument{Schema: schemaAnswer, Text: ans.Text}, nil
}

// answerOf gives an event to the engine; a refusal is a problem.
func (s *Server) answerOf(ctx context.Context, ev engine.Event) (engine.Answer, error) {
	ans, err := s.back.Do(ctx, ev)
	switch {
	case err != nil && isTimeout(err):
		return ans, err
	case err != nil:
		return ans, problem(ProblemUnavailable, err.Error())
	case ans.Refused:
		return ans, problem(ProblemRefused, ans.Text)
	}
	return ans, nil
}

// runCheck answers POST /v1/checks/{name}/run.
func (s *Server) runCheck(c call) (any, error) {
	ctx, cancel := limit(c.Context(), false)
	defer cancel()
	doc, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	name := c.PathValue("name")
	known, err := findCheck(doc.Status, name)
	if err != nil {
		return nil, err
	}
	if known.Group != nil {
		p := problem(ProblemRefused, name+" is a group of checks and has no probe")
		p.Hint = "vipd why " + name
		return nil, p
	}
	res, err := s.back.RunCheck(ctx, name)
	if err != nil {
		return nil, err
	}
	res.Schema, res.Check = schemaRun, name
	return res, nil
}

// released waits until none of the VIPs (all when names is empty) is held, and
// no service is announced or has its addresses here.
func (s *Server) released(ctx context.Context, names []string) error {
	wanted := make(map[string]bool, len(names))
	for _, n := range names {
		wanted[n] = true
	}
	tick := time.NewTicker(settleTick)
	defer tick.Stop()
	for {
		doc, err := s.current(ctx)
		if err != nil {
			return err
		}
		held := false
		for _, v := range doc.VIPs {
			held = held || (v.Held || v.State == engine.Active) && (len(wanted) == 0 || wanted[v.Name])
		}
		for _, v := range doc.Services {
			held = held || (v.Told || v.Held) && (len(wanted) == 0 || wanted[v.Name])
		}
		if !held {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.stopping:
			return problem(ProblemUnavailable, "the daemon stops")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// known checks that every name is one of a VIP or an anycast service.
func (s *Server) known(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	doc, err := s.current(ctx)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := findAny(doc.Status, n); err != nil {
			return err
		}
	}
	return nil
}

// limit bounds a change.
func limit(ctx context.Context, wait bool) (context.Context, context.CancelFunc) {
	if wait {
		return context.WithTimeout(ctx, waitTime)
	}
	return context.WithTimeout(ctx, changeTime)
}

// drainTime reads the `for` of a drain.
func drainTime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > maxFor {
		return 0, problem(ProblemRequest, fmt.Sprintf("%q is no time to drain for: write 30m, 2h or 36h, up to a year", text))
	}
	return d, nil
}

// decode reads a body into a request; an empty body leaves it as it is.
func decode(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return problem(ProblemRequest, badBody+err.Error())
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return problem(ProblemRequest, "the body has something after its document")
	}
	return nil
}
