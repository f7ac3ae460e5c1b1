package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/vipd/vipd/pkg/engine"
)

// Problem is an error as it travels: a problem document as described in RFC
// 9457, with two members of our own, `hint` and `problems`.
type Problem struct {
	Schema   string   `json:"schema"`
	Type     string   `json:"type"` // one of the Problem… constants
	Title    string   `json:"title"`
	Status   int      `json:"status"`             // HTTP status
	Detail   string   `json:"detail"`             // what happened, in words
	Instance string   `json:"instance,omitempty"` // name of the VIP or check in question
	Hint     string   `json:"hint,omitempty"`     // what to type next
	Problems []string `json:"problems,omitempty"` // of a configuration, as check-config prints them
}

// The types of problems.
const (
	ProblemRequest      = "vipd:bad-request"      // 400
	ProblemNotPermitted = "vipd:not-permitted"    // 403: reads, but may not change things
	ProblemNotFound     = "vipd:not-found"        // 404: no such path, VIP or check
	ProblemMethod       = "vipd:method"           // 405
	ProblemRefused      = "vipd:refused"          // 409: the engine said no
	ProblemTooLarge     = "vipd:too-large"        // 413
	ProblemMedia        = "vipd:not-json"         // 415
	ProblemConfig       = "vipd:config-invalid"   // 422: nothing was changed
	ProblemInternal     = "vipd:internal"         // 500
	ProblemUnavailable  = "vipd:unavailable"      // 503: the daemon stops, or does not answer itself
	ProblemTooMany      = "vipd:too-many-streams" // 503
	ProblemTimeout      = "vipd:timeout"          // 504: may still be carried out
)

// Beginnings of details that a client looks at.
const (
	noPath  = "no such path: "
	badBody = "the body is not what this path takes: "
)

// kinds maps a type of problem to its title and HTTP status.
var kinds = map[string]struct {
	title  string
	status int
}{
	ProblemRequest:      {"bad request", http.StatusBadRequest},
	ProblemNotPermitted: {"not permitted", http.StatusForbidden},
	ProblemNotFound:     {"not found", http.StatusNotFound},
	ProblemMethod:       {"method not allowed", http.StatusMethodNotAllowed},
	ProblemRefused:      {"refused", http.StatusConflict},
	ProblemTooLarge:     {"too large", http.StatusRequestEntityTooLarge},
	ProblemMedia:        {"not JSON", http.StatusUnsupportedMediaType},
	ProblemConfig:       {"configuration invalid", http.StatusUnprocessableEntity},
	ProblemInternal:     {"internal error", http.StatusInternalServerError},
	ProblemUnavailable:  {"not available", http.StatusServiceUnavailable},
	ProblemTooMany:      {"too many streams", http.StatusServiceUnavailable},
	ProblemTimeout:      {"timed out", http.StatusGatewayTimeout},
}

// problem makes a problem of one of the types above.
func problem(typ, detail string) *Problem {
	k := kinds[typ]
	return &Problem{Schema: schemaProblem, Type: typ, Title: k.title, Status: k.status, Detail: detail}
}

// Error implements error. A refusal and a missing right say so first; other
// details speak for themselves.
func (p *Problem) Error() string {
	switch p.Type {
	case ProblemRefused, ProblemNotPermitted:
		return p.Title + ": " + p.Detail
	default:
		return p.Detail
	}
}

// write sends the problem.
func (p *Problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = encoder(w).Encode(p) // the client may have gone
}

// encoder writes JSON as it is: nobody puts it into HTML.
func encoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// problemOf turns any error of an endpoint into a problem.
func problemOf(err error) *Problem {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case isTimeout(err):
		return problem(ProblemTimeout, "no answer in time; it may still be carried out")
	default:
		return problem(ProblemInternal, err.Error())
	}
}

// unknown says that a VIP or check does not exist, and which do.
func unknown(kind, name string, known []string) *Problem {
	p := problem(ProblemNotFound, fmt.Sprintf("no %s is named %q", kind, name))
	p.Instance = name
	if len(known) == 0 {
		p.Hint = fmt.Sprintf("the configuration has no %s", kind)
		return p
	}
	const most = 12
	more := ""
	if len(known) > most {
		known, more = known[:most], ", …"
	}
	p.Hint = fmt.Sprintf("there is %s%s", strings.Join(known, ", "), more)
	return p
}

// vipNames lists the VIPs of a status.
func vipNames(s engine.Status) []string {
	names := make([]string, 0, len(s.VIPs))
	for _, v := range s.VIPs {
		names = append(names, v.Name)
	}
	return names
}

// checkNames lists the checks of a status.
func checkNames(s engine.Status) []string {
	names := make([]string, 0, len(s.Checks))
	for _, c := range s.Checks {
		names = append(names, c.Name)
	}
	return names
}
