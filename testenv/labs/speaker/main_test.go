package speaker_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/bgp/speaker"
	"github.com/vipd/vipd/testenv"
)

// asChild in the environment makes this test program the child; debug shows what
// the library logs.
const asChild = "SPEAKER_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		level := slog.LevelInfo
		if os.Getenv(asChild) == "debug" {
			level = slog.LevelDebug
		}
		log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
		if err := speaker.Serve(context.Background(), os.Stdin, os.Stdout, log); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if conf := os.Getenv(asCore); conf != "" {
		os.Exit(runCore(conf))
	}
	os.Exit(testenv.Main(m))
}

// asCore in the environment makes this test program a core, with a child of its
// own: its value is the configuration.
const asCore = "SPEAKER_TEST_CORE"

func runCore(conf string) int {
	var c bgp.Config
	if err := json.Unmarshal([]byte(conf), &c); err != nil {
		panic(err)
	}
	if err := os.Unsetenv(asCore); err != nil {
		panic(err)
	}
	p := speaker.New(speaker.Options{Command: []string{"env", asChild + "=info", os.Args[0]}})
	p.Configure(c)
	p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
	err := p.Run(context.Background(), func(r speaker.Report) { fmt.Printf("%T%+v\n", r, r) })
	fmt.Println(err)
	return 1
}

const (
	localAS = 65101
	torAS   = 65001
)

var service = netip.MustParsePrefix("198.51.100.53/32")

// host is a lab host with a speaker, whose child runs there.
type host struct {
	t    testing.TB
	host *testenv.Host
	p    *speaker.Process
	stop func()

	mu       sync.Mutex
	reports  []speaker.Report
	sessions map[string]bgp.Session
	pid      int
}

// command runs this test program as the child, on the host.
func command(h *testenv.Host) []string {
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		panic(err)
	}
	return []string{"nsenter", fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), h.NS.Fd()), "env", asChild + "=" + cmp.Or(os.Getenv("SPEAKER_TEST_LOG"), "info"), self}
}

// speak starts a speaker on a lab host.
func speak(t testing.TB, h *testenv.Host, c bgp.Config) *host {
	return speakWith(t, h, c, func(*speaker.Options) {})
}

func speakWith(t testing.TB, h *testenv.Host, c bgp.Config, change func(*speaker.Options)) *host {
	t.Helper()
	opts := speaker.Options{Command: command(h), Log: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	change(&opts)
	s := &host{t: t, host: h, p: speaker.New(opts), sessions: map[string]bgp.Session{}}
	s.p.Configure(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.p.Run(ctx, s.report); err != nil {
			t.Errorf("run the speaker: %v", err)
		}
	}()
	s.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(s.stop)
	return s
}

type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) { l.t.Logf("%s", b); return len(b), nil }

func (s *host) report(r speaker.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, r)
	switch r := r.(type) {
	case speaker.Up:
		s.pid = r.PID
	case speaker.Down:
		clear(s.sessions)
	case speaker.Session:
		s.sessions[r.Neighbor] = r.Session
	}
}

func (s *host) session(name string) bgp.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[name]
}

// has reports whether such a report came.
func has[R speaker.Report](s *host, match func(R) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.reports {
		if r, ok := r.(R); ok && match(r) {
			return true
		}
	}
	return false
}

func config(neighbors map[string]bgp.Neighbor) bgp.Config {
	return bgp.Config{LocalAS: localAS, RouterID: netip.MustParseAddr("10.0.0.2"), ListenPort: -1, Neighbors: neighbors}
}

func neighbor(address string) bgp.Neighbor {
	return bgp.Neighbor{
		Address: netip.MustParseAddr(address), RemoteAS: torAS, HoldTime: 9 * time.Second, Keepalive: 3 * time.Second,
		ConnectRetry: time.Second, Families: []bgp.Family{bgp.IPv4},
	}
}

func table(name string, routes ...bgp.Route) bgp.Table { return bgp.Table{name: routes} }

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// kill ends the child.
func kill(s *host) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return syscall.Kill(s.pid, syscall.SIGKILL)
}
