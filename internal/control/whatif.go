package control

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vipd/vipd/pkg/engine/whatif"
)

// maxQuestion bounds a question in bytes.
const maxQuestion = 4096

// whatIf answers GET /v1/what-if?q=QUESTION.
func (s *Server) whatIf(c call) (any, error) {
	values := c.URL.Query()
	for key := range values {
		if key != "q" {
			return nil, problem(ProblemRequest, fmt.Sprintf("what-if takes q, not %q", key))
		}
	}
	text := values.Get("q")
	if len(text) > maxQuestion {
		return nil, problem(ProblemRequest, fmt.Sprintf("the question is longer than %d bytes", maxQuestion))
	}
	q, err := whatif.Parse(strings.Fields(text))
	if err != nil {
		return nil, problem(ProblemRequest, err.Error())
	}
	answer, err := s.back.WhatIf(c.Context(), q)
	var none *whatif.UnknownError
	if errors.As(err, &none) {
		return nil, unknown(none.Kind, none.Name, none.Known)
	}
	return answer, err
}
