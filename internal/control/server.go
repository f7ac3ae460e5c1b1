package control

import (
	"context"
	"errors"
	"fmt"
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
	hangupTick   = time.Second            // between looks at whether a follower is still there
	grace        = time.Millisecond * 100 // for a new connection while the gate is full
	farewell     = time.Second * 2        // for requests that are under way at the end
)

// Options says how a [Server] is reached and by whom.
type Options struct {
	Socket        string       // path of the unix socket, up to 107 bytes
	AdminGroup    string       // whose members may change things: name or number, "" = none
	MetricsListen string       // host:port on which /metrics is served as well, "" = nowhere
	Metrics       http.Handler // the page /metrics, nil = there is none
	Log           *slog.Logger // nil = silent

	// Peer says who is calling. nil asks the kernel; tests say what they like.
	Peer func(*net.UnixConn) (Peer, error)
}

// Server answers on the control socket, and on the metrics address.
type Server struct {
	back      Backend
	opts      Options
	followers chan struct{} // a place each
	stopping  chan struct{} // closed when Run is asked to end

	control net.Listener
	scrape  net.Listener // nil without MetricsListen
}

// New makes a server for a daemon. It does not listen yet.
func New(back Backend, opts Options) *Server {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Peer == nil {
		opts.Peer = peerOf
	}
	return &Server{back: back, opts: opts, followers: make(chan struct{}, maxFollowers), stopping: make(chan struct{})}
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
	servers := []*http.Server{s.server(s.mux(s.routes()))}
	listeners := []net.Listener{s.control}
	if s.scrape != nil {
		servers = append(servers, s.server(s.mux(s.scraped())))
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

// isTimeout reports whether an error is about time.
func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
