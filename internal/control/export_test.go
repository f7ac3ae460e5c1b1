package control

import (
	"fmt"
	"maps"
	"slices"
)

// Routes lists what the socket answers to: "GET /v1/status false", with whether
// it changes something.
func (s *Server) Routes() []string {
	var list []string
	for _, r := range s.routes() {
		list = append(list, fmt.Sprintf("%s %s %v", r.method, r.path, r.change))
	}
	return list
}

// ProblemTypes lists the types of problems.
func ProblemTypes() []string { return slices.Sorted(maps.Keys(kinds)) }
