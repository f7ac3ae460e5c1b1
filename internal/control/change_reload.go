package control

import (
	"fmt"
	"time"
)

// How long a reload may wait for its confirmation.
const (
	minConfirm = time.Second
	maxConfirm = 24 * time.Hour
)

// reload answers POST /v1/reload.
func (s *Server) reload(c call) (any, error) {
	var req ReloadRequest
	if err := decode(c.body, &req); err != nil {
		return nil, err
	}
	how := ReloadKind{Dry: req.DryRun}
	if req.ConfirmWithin != "" {
		d, err := time.ParseDuration(req.ConfirmWithin)
		if err != nil || d < minConfirm || d > maxConfirm {
			return nil, problem(ProblemRequest, fmt.Sprintf("%q is no time to confirm within: write 30s or 5m, 1s to 24h", req.ConfirmWithin))
		}
		how.ConfirmWithin = d
	}
	return s.reloaded(c, how)
}

// diff answers GET /v1/diff: what a reload would change.
func (s *Server) diff(c call) (any, error) { return s.reloaded(c, ReloadKind{Dry: true}) }

// reloaded has the configuration read again.
func (s *Server) reloaded(c call, how ReloadKind) (any, error) {
	ctx, cancel := limit(c.Context(), false)
	defer cancel()
	res, err := s.back.Reload(ctx, c.actor, how)
	if err != nil {
		return nil, err
	}
	if n := len(res.Problems); n > 0 {
		p := problem(ProblemConfig, fmt.Sprintf("the configuration has %s; what ran before still runs", count(n, "problem")))
		p.Problems, p.Hint = res.Problems, "vipd check-config"
		return nil, p
	}
	return reloadDocument(res, how.Dry, "vipd reload --confirm")
}

// confirm answers POST /v1/reload/confirm.
func (s *Server) confirm(c call) (any, error) {
	var none struct{}
	if err := decode(c.body, &none); err != nil {
		return nil, err
	}
	ctx, cancel := limit(c.Context(), false)
	defer cancel()
	res, err := s.back.Confirm(ctx, c.actor)
	if err != nil {
		return nil, err
	}
	return reloadDocument(res, false, "vipd status")
}

// reloadDocument is the answer about a reload, or its refusal with a hint.
func reloadDocument(res ReloadResult, dry bool, hint string) (any, error) {
	if res.Refused != "" {
		p := problem(ProblemRefused, res.Refused)
		p.Hint = hint
		return nil, p
	}
	res.Schema, res.DryRun = schemaReload, dry
	if res.Changes == nil {
		res.Changes = []string{}
	}
	return res, nil
}
