package control

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"path"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// route is one thing that can be asked for.
type route struct {
	method, path string
	change       bool                    // takes the right to change things
	answer       func(call) (any, error) // with a document, or a page
	serve        http.HandlerFunc        // or in a way of its own
}

// call is one request on its way to its route.
type call struct {
	*http.Request
	body  []byte
	actor engine.Actor // who changes something
}

// page is an answer that is no JSON.
type page struct{ kind, text string }

// routes are all that there are on the socket. docs/control-api.md explains
// them; a test compares.
func (s *Server) routes() []route {
	get := func(path string, f func(call) (any, error)) route {
		return route{method: http.MethodGet, path: path, answer: f}
	}
	post := func(path string, f func(call) (any, error)) route {
		return route{method: http.MethodPost, path: path, change: true, answer: f}
	}
	return append(s.scraped(),
		get("/v1/status", s.status),
		get("/v1/vips", s.vips),
		get("/v1/vips/{name}", s.vip),
		get("/v1/vips/{name}/why", s.whyVIP),
		get("/v1/checks", s.checks),
		get("/v1/checks/{name}", s.check),
		get("/v1/checks/{name}/why", s.whyCheck),
		get("/v1/anycast", s.services),
		get("/v1/anycast/{name}", s.service),
		get("/v1/anycast/{name}/why", s.whyService),
		get("/v1/bgp/neighbors", s.bgp),
		get("/v1/bgp/neighbors/{name}/why", s.whyNeighbor),
		get("/v1/fences", s.fences),
		get("/v1/config", s.config),
		get("/v1/diff", s.diff),
		get("/v1/what-if", s.whatIf),
		get("/healthz", s.health),
		get("/readyz", s.ready),
		route{method: http.MethodGet, path: "/v1/events", serve: s.events},
		post("/v1/drain", s.drain),
		post("/v1/undrain", s.undrain),
		post("/v1/vips/{name}/failover", s.failover),
		post("/v1/vips/{name}/drill", s.drill),
		post("/v1/checks/{name}/run", s.runCheck),
		post("/v1/fences/{name}/confirm", s.confirmFence),
		post("/v1/fence/test/{name}", s.testFence),
		post("/v1/reload", s.reload),
		post("/v1/reload/confirm", s.confirm),
	)
}

// scraped is what the metrics address serves, and nothing else.
func (s *Server) scraped() []route {
	if s.opts.Metrics == nil {
		return nil
	}
	return []route{{method: http.MethodGet, path: "/metrics", serve: s.opts.Metrics.ServeHTTP}}
}

// mux finds the route of a request. Whatever has none gets a problem: it never
// redirects.
func (s *Server) mux(routes []route) http.Handler {
	mux := http.NewServeMux()
	byPath := map[string]map[string]route{}
	for _, r := range routes {
		if byPath[r.path] == nil {
			byPath[r.path] = map[string]route{}
			mux.Handle(r.path, s.methods(byPath[r.path]))
		}
		byPath[r.path][r.method] = r
	}
	none := func(w http.ResponseWriter, r *http.Request) {
		problem(ProblemNotFound, noPath+r.URL.Path).write(w)
	}
	mux.HandleFunc("/", none)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bound(w)
		if r.URL.Path != path.Clean(r.URL.Path) {
			none(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// methods serves one path.
func (s *Server) methods(routes map[string]route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, ok := routes[r.Method]
		switch {
		case !ok:
			for allowed := range routes {
				w.Header().Add("Allow", allowed)
			}
			problem(ProblemMethod, fmt.Sprintf("%s takes no %s", r.URL.Path, r.Method)).write(w)
		case found.serve != nil:
			found.serve(w, r)
		default:
			doc, err := s.answer(w, r, found)
			bound(w) // answering a change may have taken long: the client's time starts now
			write(w, doc, err)
		}
	})
}

// write sends a document, a page, or the problem that there was.
func write(w http.ResponseWriter, doc any, err error) {
	if err != nil {
		problemOf(err).write(w)
		return
	}
	if p, ok := doc.(page); ok {
		w.Header().Set("Content-Type", p.kind)
		_, _ = io.WriteString(w, p.text) // the client may have gone
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = encoder(w).Encode(doc) // the client may have gone
}

// bound gives a client this much time to read what is written from now on.
func bound(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience))
}

// connKey finds the connection of a request in its context.
type connKey struct{}

// hold keeps the connection of a request safe from eviction until release is
// called: while the daemon works, not while the client sends or reads.
func hold(r *http.Request) (release func()) {
	c, ok := r.Context().Value(connKey{}).(*gateConn)
	if !ok {
		return func() {}
	}
	c.busy.Add(1)
	return func() { c.busy.Add(-1) }
}

// answer checks the right, reads the body and asks the route.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, to route) (any, error) {
	c := call{Request: r}
	if !to.change {
		defer hold(r)()
		return to.answer(c)
	}
	peer, err := s.peer(r)
	if err != nil {
		return nil, err
	}
	c.actor = peer.Actor()
	log := s.opts.Log.With("actor", c.actor.Name, "uid", peer.UID, "gid", peer.GID, "pid", peer.PID, "path", r.URL.Path)
	if p := peer.mayChange(s.opts.AdminGroup); p != nil {
		log.Warn("change not permitted")
		return nil, p
	}
	if c.body, err = readBody(w, r); err != nil {
		return nil, err
	}
	defer hold(r)()
	doc, err := to.answer(c)
	if err != nil {
		log.Info("change refused", "error", err)
	} else {
		log.Info("change done")
	}
	return doc, err
}

// peer says who sent a request.
func (s *Server) peer(r *http.Request) (Peer, error) {
	if c, ok := r.Context().Value(connKey{}).(*gateConn); ok {
		if u, ok := c.Conn.(*net.UnixConn); ok {
			return s.opts.Peer(u)
		}
	}
	return Peer{}, errors.New("ask who is calling: no unix socket")
}

// readBody reads a whole body, within its size and time.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind := r.Header.Get("Content-Type"); kind != "" && r.ContentLength != 0 {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			p := problem(ProblemMedia, fmt.Sprintf("the body must be application/json, not %s", kind))
			p.Hint = "curl --json BODY, or -H 'Content-Type: application/json'"
			return nil, p
		}
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(patience))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = rc.SetReadDeadline(time.Time{})
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, problem(ProblemTooLarge, fmt.Sprintf("the body may have %d bytes", maxBody))
	case err != nil:
		return nil, problem(ProblemRequest, "the body ended early: "+err.Error())
	}
	return body, nil
}
