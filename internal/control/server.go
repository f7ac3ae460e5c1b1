package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// The limits of the server.
const (
	maxConns     = 64               // at once, on each of the two listeners
	maxFollowers = 16               // of which event streams that do not end
	maxBody      = 64 << 10         // bytes of a request's body
	maxHeader    = 16 << 10         // bytes of a request's header
	patience     = time.Second * 10 // for one write to a client, and for a request's body
	headerTime   = time.Second * 5
	idleTime     = time.Second * 30
	grace        = time.Millisecond * 100 // for a new connection while the gate is full
	farewell     = time.Second * 2        // for requests that are under way at the end
)

// Options says how a [Server] is reached and by whom.
type Options struct {
	Socket        string       // path of the unix socket, up to 107 bytes
	AdminGroup    string       // whose members may change things: name or number, "" = none
	MetricsListen string       // host:port on which /metrics is served as well, "" = nowhere
	Lateness      *Lateness    // nil = not in the metrics
	Log           *slog.Logger // nil = silent

	// Peer says who is calling. nil asks the kernel; tests say what they like.
	Peer func(*net.UnixConn) (Peer, error)
}

// Server answers on the control socket, and on the metrics address.
type Server struct {
	back      Backend
	opts      Options
	metrics   http.Handler
	followers chan struct{} // a place each
	stopping  chan struct{} // closed when Run is asked to end

	control net.Listener
	scrape  net.Listener // nil without MetricsListen
}

// New makes a server for a daemon. It does not listen yet.
func New(back Backend, opts Options) (*Server, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Peer == nil {
		opts.Peer = peerOf
	}
	metrics, err := metricsPage(back, opts.Lateness)
	if err != nil {
		return nil, err
	}
	return &Server{
		back: back, opts: opts, metrics: metrics,
		followers: make(chan struct{}, maxFollowers), stopping: make(chan struct{}),
	}, nil
}

// Listen opens the socket and the metrics address, so that a client that
// connects from now on is answered as soon as [Server.Run] runs. After an error
// nothing is open.
func (s *Server) Listen() error {
	l, err := listenSocket(s.opts.Socket)
	if err != nil {
		return err
	}
	if s.opts.MetricsListen != "" {
		t, err := net.Listen("tcp", s.opts.MetricsListen)
		if err != nil {
			_ = l.Close()
			return fmt.Errorf("listen for metrics: %w", err)
		}
		s.scrape = newGate(t, maxConns, grace)
	}
	s.control = newGate(l, maxConns, grace)
	return nil
}

// MetricsAddr is the address on which the metrics are served, nil when there is
// none. It is known after [Server.Listen].
func (s *Server) MetricsAddr() net.Addr {
	if s.scrape == nil {
		return nil
	}
	return s.scrape.Addr()
}

// Run serves until ctx ends, then gives requests that are under way two seconds
// and removes the socket. It may be called once, after [Server.Listen].
func (s *Server) Run(ctx context.Context) error {
	servers := []*http.Server{s.server(s.routes())}
	listeners := []net.Listener{s.control}
	if s.scrape != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", s.serving(s.metrics))
		servers = append(servers, s.server(mux))
		listeners = append(listeners, s.scrape)
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, srv := range servers {
		group.Go(func() error {
			if err := srv.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", listeners[i].Addr(), err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-ctx.Done()
		close(s.stopping)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		for _, srv := range servers {
			if srv.Shutdown(last) != nil {
				_ = srv.Close()
			}
		}
		return nil
	})
	return group.Wait()
}

// server makes the HTTP server around a handler, with every limit set.
func (s *Server) server(h http.Handler) *http.Server {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		Protocols: new(http.Protocols),
	}
	srv.Protocols.SetHTTP1(true)
	return srv
}

// connKey finds the connection of a request in its context.
type connKey struct{}

// serving bounds the time for the answer.
func (s *Server) serving(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience))
		h.ServeHTTP(w, r)
	})
}

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

// call is one request on its way to its endpoint.
type call struct {
	*http.Request
	body  []byte
	actor string // who changes something: "anna (uid 1004)"; "" for a read
}

// endpoint answers one kind of request with a document.
type endpoint struct {
	change bool // takes the right to change things
	answer func(call) (any, error)
}

// methods are the endpoints of a path, by HTTP method.
type methods map[string]endpoint

// routes is every path that there is.
func (s *Server) routes() http.Handler {
	read := func(f func(call) (any, error)) methods { return methods{http.MethodGet: {answer: f}} }
	change := func(f func(call) (any, error)) methods {
		return methods{http.MethodPost: {change: true, answer: f}}
	}
	mux := http.NewServeMux()
	for path, m := range map[string]methods{
		"/v1/status":               read(s.status),
		"/v1/vips/{name}":          read(s.vip),
		"/v1/vips/{name}/why":      read(s.whyVIP),
		"/v1/vips/{name}/failover": change(s.failover),
		"/v1/checks":               read(s.checks),
		"/v1/checks/{name}/why":    read(s.whyCheck),
		"/v1/checks/{name}/run":    change(s.runCheck),
		"/v1/what-if":              read(s.whatIf),
		"/v1/drain":                change(s.drain),
		"/v1/undrain":              change(s.undrain),
		"/v1/reload":               change(s.reload),
		"/healthz":                 read(s.health),
	} {
		mux.Handle(path, s.serving(s.endpoints(m)))
	}
	mux.Handle("/v1/events", s.serving(http.HandlerFunc(s.events)))
	mux.Handle("/metrics", s.serving(s.metrics))
	mux.Handle("/", s.serving(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem(ProblemNotFound, "no such path: "+r.URL.Path).write(w)
	})))
	return mux
}

// endpoints serves one path.
func (s *Server) endpoints(m methods) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ep, ok := m[r.Method]
		if !ok {
			for allowed := range m {
				w.Header().Add("Allow", allowed)
			}
			problem(ProblemMethod, fmt.Sprintf("%s takes no %s", r.URL.Path, r.Method)).write(w)
			return
		}
		doc, err := s.answer(w, r, ep)
		// Answering a change may have taken long: the client's time starts now.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience))
		if err != nil {
			problemOf(err).write(w)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = encoder(w).Encode(doc) // the client may have gone
	})
}

// answer checks the right, reads the body and asks the endpoint.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, ep endpoint) (any, error) {
	c := call{Request: r}
	if !ep.change {
		defer hold(r)()
		return ep.answer(c)
	}
	peer, err := s.peer(r)
	if err != nil {
		return nil, err
	}
	c.actor = peer.Actor()
	if p := peer.mayChange(s.opts.AdminGroup); p != nil {
		s.opts.Log.Warn("change not permitted", "actor", c.actor, "path", r.URL.Path)
		return nil, p
	}
	if c.body, err = readBody(w, r); err != nil {
		return nil, err
	}
	defer hold(r)()
	doc, err := ep.answer(c)
	if err != nil {
		s.opts.Log.Info("change refused", "actor", c.actor, "path", r.URL.Path, "error", err)
	} else {
		s.opts.Log.Info("change done", "actor", c.actor, "path", r.URL.Path)
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

// isTimeout reports whether an error is about time.
func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
