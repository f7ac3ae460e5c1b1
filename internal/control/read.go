package control

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// readTime bounds how long a read waits for the daemon's loop.
const readTime = 2 * time.Second

// current asks the daemon for its status.
func (s *Server) current(ctx context.Context) (StatusDocument, error) {
	return currentStatus(ctx, s.back)
}

// currentStatus asks a source for its status and completes the answer.
func currentStatus(ctx context.Context, src Source) (StatusDocument, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	doc, err := src.Status(ctx)
	if err != nil {
		return StatusDocument{}, problem(ProblemUnavailable, fmt.Sprintf("the daemon does not say its status: %v", err))
	}
	doc.complete()
	return doc, nil
}

// status answers GET /v1/status.
func (s *Server) status(c call) (any, error) {
	return s.current(c.Context())
}

// vip answers GET /v1/vips/{name}.
func (s *Server) vip(c call) (any, error) {
	doc, err := s.current(c.Context())
	if err != nil {
		return nil, err
	}
	v, err := findVIP(doc.Status, c.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return VIPDocument{Schema: schemaVIP, Node: doc.Node.Name, Now: doc.Now, VIP: v}, nil
}

// vips answers GET /v1/vips.
func (s *Server) vips(c call) (any, error) {
	doc, err := s.current(c.Context())
	if err != nil {
		return nil, err
	}
	return VIPsDocument{Schema: schemaVIPs, Node: doc.Node.Name, Now: doc.Now, VIPs: doc.VIPs}, nil
}

// check answers GET /v1/checks/{name}.
func (s *Server) check(c call) (any, error) {
	doc, err := s.current(c.Context())
	if err != nil {
		return nil, err
	}
	k, err := findCheck(doc.Status, c.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return CheckDocument{Schema: schemaCheck, Node: doc.Node.Name, Now: doc.Now, Check: k}, nil
}

// checks answers GET /v1/checks.
func (s *Server) checks(c call) (any, error) {
	doc, err := s.current(c.Context())
	if err != nil {
		return nil, err
	}
	return ChecksDocument{Schema: schemaChecks, Node: doc.Node.Name, Now: doc.Now, Checks: doc.Checks}, nil
}

// whyVIP answers GET /v1/vips/{name}/why.
func (s *Server) whyVIP(c call) (any, error) { return s.why(c, Why) }

// whyCheck answers GET /v1/checks/{name}/why.
func (s *Server) whyCheck(c call) (any, error) { return s.why(c, WhyCheck) }

// why explains the thing that a request names.
func (s *Server) why(c call, explain func(engine.Status, string) (Explanation, error)) (any, error) {
	doc, err := s.current(c.Context())
	if err != nil {
		return nil, err
	}
	return explain(doc.Status, c.PathValue("name"))
}

// health answers GET /healthz: the loop turns.
func (s *Server) health(c call) (any, error) {
	if _, err := s.current(c.Context()); err != nil {
		return nil, err
	}
	return healthDocument{Schema: schemaHealth, OK: true}, nil
}

// ready answers GET /readyz: every vip takes part in its election.
func (s *Server) ready(c call) (any, error) {
	doc, err := s.current(c.Context())
	if err != nil {
		return nil, err
	}
	if absent := NotReady(doc.Status); len(absent) > 0 {
		return nil, problem(ProblemUnavailable, strings.Join(absent, "; "))
	}
	return healthDocument{Schema: schemaHealth, OK: true}, nil
}

// NotReady says of each VIP that takes no part in its election, and of each
// service that is not announced although it should be, why that is, in their
// order.
func NotReady(s engine.Status) []string {
	var list []string
	for _, v := range s.VIPs {
		if v.State != engine.Active && v.State != engine.Backup {
			list = append(list, fmt.Sprintf("%s is %s: %s", v.Name, ShownState(v), v.Why))
		}
	}
	for _, v := range s.Services {
		if v.State != engine.ServiceAnnounced && v.Reason != string(engine.BlockedVIP) {
			list = append(list, fmt.Sprintf("%s is %s: %s", v.Name, v.State, v.Why))
		}
	}
	return list
}

// config answers GET /v1/config with TOML.
func (s *Server) config(c call) (any, error) {
	effective := false
	for key, values := range c.URL.Query() {
		if key != "effective" {
			return nil, problem(ProblemRequest, fmt.Sprintf("the configuration takes effective, not %q", key))
		}
		if err := parseFlag(key, values[0], &effective); err != nil {
			return nil, err
		}
	}
	return page{kind: "application/toml", text: s.back.Config(effective)}, nil
}

// parseFlag reads a switch of a query.
func parseFlag(key, text string, into *bool) error {
	switch text {
	case "", "0", "false":
		*into = false
	case "1", "true":
		*into = true
	default:
		return problem(ProblemRequest, key+" is 0 or 1")
	}
	return nil
}

// findVIP finds a VIP by name, or says which there are.
func findVIP(s engine.Status, name string) (engine.VIPStatus, error) {
	for _, v := range s.VIPs {
		if v.Name == name {
			return v, nil
		}
	}
	return engine.VIPStatus{}, unknown("vip", name, vipNames(s))
}

// findCheck finds a check by name, or says which there are.
func findCheck(s engine.Status, name string) (engine.CheckStatus, error) {
	for _, c := range s.Checks {
		if c.Name == name {
			return c, nil
		}
	}
	return engine.CheckStatus{}, unknown("check", name, checkNames(s))
}
