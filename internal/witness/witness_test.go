package witness

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vote"
	"github.com/vipd/vipd/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const (
	within = 10 * time.Second
	ttl    = 300 * time.Millisecond
)

var (
	secret   = []byte("0123456789abcdef0123456789abcdef")
	loopback = netip.MustParseAddrPort("127.0.0.1:0")
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve runs a witness until the test ends or stop is called.
func serve(t testing.TB, change func(*ServerConfig)) (s *Server, stop func()) {
	t.Helper()
	cfg := ServerConfig{Listen: loopback, Key: secret, MaxTTL: ttl, Votes: 1000, Hosts: 100}
	if change != nil {
		change(&cfg)
	}
	s, err := Listen(cfg, slog.New(slog.DiscardHandler))
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		must(t, <-ended)
		must(t, s.Close())
	})
	t.Cleanup(stop)
	return s, stop
}

// asker is a Client with what it was answered.
type asker struct {
	Client
	number uint64

	mu      sync.Mutex
	answers map[uint64]vote.Answer // by number
}

// run runs a Client until the test ends.
func run(t testing.TB, c Client) *asker {
	t.Helper()
	a := &asker{Client: c, answers: map[uint64]vote.Answer{}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- c.Run(ctx, func(answer vote.Answer) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.answers[answer.Number] = answer
		})
	}()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
		must(t, c.Close())
	})
	return a
}

func dial(t testing.TB, s *Server, node string, change func(*RemoteConfig)) *asker {
	t.Helper()
	cfg := RemoteConfig{Witness: "rack3", Node: node, Cluster: "blue", Address: s.Address(), Key: secret}
	if change != nil {
		change(&cfg)
	}
	c, err := OpenRemote(cfg, slog.New(slog.DiscardHandler))
	must(t, err)
	return run(t, c)
}

// ask sends one Ask and returns its number.
func (a *asker) ask(kind vote.AskKind, vip string, epoch uint64) uint64 {
	a.number++
	a.Send([]vote.Ask{{Kind: kind, VIP: vip, Number: a.number, Epoch: epoch, TTL: ttl}})
	return a.number
}

func (a *asker) answer(number uint64) (vote.Answer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	answer, ok := a.answers[number]
	return answer, ok
}

// get asks and waits for the answer.
func (a *asker) get(t testing.TB, kind vote.AskKind, vip string, epoch uint64) vote.Answer {
	t.Helper()
	n := a.ask(kind, vip, epoch)
	testenv.Eventually(t, within, "there is an answer", func() bool {
		_, ok := a.answer(n)
		return ok
	})
	got, _ := a.answer(n)
	return got
}

// win asks until the vote is granted.
func (a *asker) win(t testing.TB, vip string, epoch uint64) {
	t.Helper()
	testenv.Eventually(t, within, "the vote is granted", func() bool {
		return a.get(t, vote.Renew, vip, epoch).Kind == vote.Granted
	})
}

// TestVotes: a witness promises its vote to one host at a time.
func TestVotes(t *testing.T) {
	testenv.Require(t)
	t.Parallel()
	s, _ := serve(t, nil)
	one, two := dial(t, s, "lb1", nil), dial(t, s, "lb2", nil)
	if a := one.get(t, vote.Renew, "web", 1); a.Why != vote.SitsOut || a.Remaining <= 0 || a.Remaining > ttl {
		t.Errorf("at once: %+v", a)
	}
	one.win(t, "web", 1)
	if a := two.get(t, vote.Renew, "web", 2); a.Why != vote.Promised || a.Owner != "lb1" || a.Epoch != 1 || a.Remaining > ttl {
		t.Errorf("the other host: %+v", a)
	}
	if a := one.get(t, vote.Release, "web", 1); a.Kind != vote.Released {
		t.Errorf("a release: %+v", a)
	}
	if a := two.get(t, vote.Renew, "web", 2); a.Kind != vote.Granted {
		t.Errorf("after the release: %+v", a)
	}
	// It is not renewed, and runs out.
	one.win(t, "web", 3)
	c := s.Counters()
	if c.Granted < 3 || c.Released != 1 || c.Denied[vote.Promised] < 1 || c.Denied[vote.SitsOut] < 1 || c.Hosts != 2 || c.Votes != 1 {
		t.Errorf("counters %+v", c)
	}
	if st := one.Status(); st.Heard.IsZero() || st.Sent < 4 || st.Received < 4 || st.Err != "" {
		t.Errorf("status %+v", st)
	}
}

// TestClusters: hosts of another cluster, and those that call the witness
// otherwise, have votes and sessions of their own, also under the same name.
func TestClusters(t *testing.T) {
	testenv.Require(t)
	t.Parallel()
	s, _ := serve(t, nil)
	blue := dial(t, s, "lb1", nil)
	green := dial(t, s, "lb1", func(c *RemoteConfig) { c.Cluster = "green" })
	other := dial(t, s, "lb2", func(c *RemoteConfig) { c.Witness = "elsewhere" })
	blue.win(t, "web", 1)
	green.win(t, "web", 1)
	if a := other.get(t, vote.Renew, "web", 2); a.Owner != "lb1" {
		t.Errorf("who calls it otherwise: %+v", a)
	}
	if c := s.Counters(); c.Hosts != 3 || c.Votes != 2 {
		t.Errorf("counters %+v", c)
	}
}

// TestRestart: a witness that was restarted sits out, and the hosts go on without
// being told.
func TestRestart(t *testing.T) {
	testenv.Require(t)
	t.Parallel()
	s, stop := serve(t, nil)
	one, two := dial(t, s, "lb1", nil), dial(t, s, "lb2", nil)
	one.win(t, "web", 1)
	stop()
	at := s.Address()
	s, _ = serve(t, func(c *ServerConfig) { c.Listen = at })
	if a := two.get(t, vote.Renew, "web", 2); a.Why != vote.SitsOut {
		t.Errorf("the other host: %+v", a)
	}
	if a := one.get(t, vote.Renew, "web", 1); a.Why != vote.SitsOut {
		t.Errorf("the holder: %+v", a)
	}
	one.win(t, "web", 1)
	if n := s.Counters().Refused[pair.CauseChallenge]; n != 2 {
		t.Errorf("%d challenges for two hosts", n)
	}
}

// TestHostRestart: a host that was restarted goes on with the promise to it.
func TestHostRestart(t *testing.T) {
	testenv.Require(t)
	t.Parallel()
	s, _ := serve(t, nil)
	one := dial(t, s, "lb1", nil)
	one.win(t, "web", 4)
	again := dial(t, s, "lb1", nil)
	if a := again.get(t, vote.Renew, "web", 4); a.Kind != vote.Granted {
		t.Errorf("after a restart: %+v", a)
	}
	// What the process before it sends counts for nothing.
	before := s.Counters().Refused[pair.CauseRival] + s.Counters().Refused[pair.CauseChallenge]
	n := one.ask(vote.Release, "web", 4)
	testenv.Eventually(t, within, "it is refused", func() bool {
		return s.Counters().Refused[pair.CauseRival]+s.Counters().Refused[pair.CauseChallenge] > before
	})
	if a, ok := one.answer(n); ok {
		t.Errorf("it is answered: %+v", a)
	}
}

// TestMany asks for the votes of many VIPs in one call.
func TestMany(t *testing.T) {
	testenv.Require(t)
	t.Parallel()
	s, _ := serve(t, nil)
	one := dial(t, s, "lb1", nil)
	one.win(t, "web", 1)
	var asks []vote.Ask
	for i := range 500 {
		asks = append(asks, vote.Ask{Kind: vote.Renew, VIP: fmt.Sprintf("a-vip-with-a-name-%d", i), Number: uint64(1000 + i), Epoch: 1, TTL: ttl})
	}
	sent := one.Status().Sent
	one.Send(asks)
	testenv.Eventually(t, within, "all are answered", func() bool {
		for i := range asks {
			if a, ok := one.answer(uint64(1000 + i)); !ok || a.Kind != vote.Granted || a.VIP != asks[i].VIP {
				return false
			}
		}
		return true
	})
	if n := one.Status().Sent - sent; n > 30 {
		t.Errorf("%d datagrams for %d Asks", n, len(asks))
	}
}

// TestFull: there is room for so many hosts and VIPs, and who is silent makes
// room.
func TestFull(t *testing.T) {
	testenv.Require(t)
	t.Parallel()
	s, _ := serve(t, func(c *ServerConfig) { c.Hosts, c.Votes = 1, 1 })
	one := dial(t, s, "lb1", nil)
	one.win(t, "web", 1)
	if a := one.get(t, vote.Renew, "mail", 1); a.Why != vote.NoRoom {
		t.Errorf("a second VIP: %+v", a)
	}
	two := dial(t, s, "lb2", nil)
	n := two.ask(vote.Renew, "web", 2)
	testenv.Eventually(t, within, "a second host is turned away", func() bool { return s.Counters().Crowded > 0 })
	if _, ok := two.answer(n); ok {
		t.Error("it is answered")
	}
	testenv.Eventually(t, within, "there is room when the first one is silent", func() bool {
		two.ask(vote.Renew, "web", 2)
		return !two.Status().Heard.IsZero()
	})
}
