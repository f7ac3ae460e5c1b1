package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/testenv"
)

// What the lab is made of.
const (
	vipName       = "web"
	priority1     = 150
	priority2     = 100
	interval      = 100 * time.Millisecond
	checkInterval = 50 * time.Millisecond
	checkFall     = 2
	servicePort   = 8080
	probeRate     = testenv.ProbeRate
)

// The address that moves, and that of the client.
var (
	vip           = netip.MustParseAddr("192.0.2.100")
	clientAddress = netip.MustParsePrefix("192.0.2.10/24")
)

// configuration is that of both hosts, except for the priority, and the other one's
// name and address.
const configuration = `[vip.web]
interface       = "eth0"
vrid            = 51
priority        = %d
advert_interval = "%s"
addresses       = ["%s/24"]
track           = ["service"]

[check.service]
type     = "tcp"
port     = %d
interval = "%s"
rise     = 2
fall     = %d

[pair]
key_file = %q
[peer.%s]
addresses = [%q]
`

// stage is the lab and what is known about it.
type stage struct {
	opts   Options
	doc    *Document
	lab    *testenv.Lab
	client *testenv.Host
	lb1    *host
	lb2    *host
	probes *testenv.Prober
	holder string // who answers the client
	key    string // that the hosts of the pair share
	played []played
}

// played is an act that was played, or is being played.
type played struct {
	begun  time.Time
	result *Result
}

// host is one host of the pair.
type host struct {
	*testenv.Host
	address netip.Prefix
	agent   *testenv.Agent
	service *service
}

// build makes the network and the services; the daemons come with open. The
// stage is never nil, so that it can be closed.
func build(opts Options, doc *Document) (*stage, error) {
	s := &stage{opts: opts, doc: doc, key: rand.Text() + rand.Text()}
	var err error
	if s.lab, err = testenv.NewLab(); err != nil {
		return s, fmt.Errorf("build the lab: %w", err)
	}
	if s.client, err = s.lab.Host("client", clientAddress.String()); err != nil {
		return s, fmt.Errorf("build the lab: %w", err)
	}
	if s.lb1, err = s.newHost("lb1", "192.0.2.2/24"); err != nil {
		return s, err
	}
	s.lb2, err = s.newHost("lb2", "192.0.2.3/24")
	return s, err
}

func (s *stage) newHost(name, prefix string) (*host, error) {
	th, err := s.lab.Host(name, prefix)
	if err != nil {
		return nil, fmt.Errorf("build the lab: %w", err)
	}
	h := &host{Host: th, address: netip.MustParsePrefix(prefix), service: &service{host: th}}
	return h, h.service.start()
}

// open starts the daemons, and the client once lb1 holds the address.
func (s *stage) open(ctx context.Context) error {
	for _, h := range []struct {
		*host
		priority int
		peer     *host
	}{{s.lb1, priority1, s.lb2}, {s.lb2, priority2, s.lb1}} {
		key := filepath.Join(h.Dir(), "pair-key")
		err := os.WriteFile(key, []byte(s.key), 0o600)
		if err != nil {
			return fmt.Errorf("write the key of the pair: %w", err)
		}
		config := fmt.Sprintf(configuration, h.priority, interval, vip, servicePort, checkInterval, checkFall, key, h.peer.Name, h.peer.address.Addr())
		if h.agent, err = h.Vipd(s.opts.Program, config); err != nil {
			return err
		}
	}
	if err := s.waitState(ctx, s.lb1, string(engine.Active)); err != nil {
		return err
	}
	if err := s.waitState(ctx, s.lb2, string(engine.Backup)); err != nil {
		return err
	}
	v, err := s.lb2.vip(ctx)
	if err != nil {
		return err
	}
	s.doc.Interval, s.doc.ActiveDown, s.doc.Skew = v.Interval, v.ActiveDown, v.ActiveDown-3*v.Interval
	s.probes, err = s.client.Probe(netip.AddrPortFrom(vip, servicePort), probeRate)
	if err != nil {
		return err
	}
	s.holder = s.lb1.Name
	return s.answered(ctx, s.holder, 0)
}

// close takes everything down and makes sure that it is gone.
func (s *stage) close() error {
	if s.lab == nil {
		return nil
	}
	if err := s.lab.Close(); err != nil {
		return fmt.Errorf("take the lab down: %w", err)
	}
	if err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); !errors.Is(err, unix.ECHILD) {
		return errors.New("take the lab down: a process is left")
	}
	return nil
}

// pair is the named host and the other one.
func (s *stage) pair(name string) (named, other *host) {
	if name == s.lb1.Name {
		return s.lb1, s.lb2
	}
	return s.lb2, s.lb1
}

// vip asks the daemon of a host about the VIP.
func (h *host) vip(ctx context.Context) (engine.VIPStatus, error) {
	doc, err := control.Client{Socket: h.agent.Socket}.VIP(ctx, vipName)
	return doc.VIP, err
}

// patience is how long anything may take to happen. It is no limit of an
// outage, but of waiting for one to end.
const patience = 15 * time.Second

// waitState waits until the daemon of a host shows the VIP in a state, and,
// when that is ACTIVE, that it holds it.
func (s *stage) waitState(ctx context.Context, h *host, want string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last engine.VIPStatus
	var problem error
	err := testenv.Until(ctx, func() bool {
		var v engine.VIPStatus
		if v, problem = h.vip(ctx); problem != nil {
			return h.ended()
		}
		last = v
		return control.ShownState(v) == want && (v.State != engine.Active || v.Held)
	})
	switch {
	case problem != nil:
		return fmt.Errorf("wait for %s to be %s on %s: %w", vipName, want, h.Name, problem)
	case err != nil:
		return fmt.Errorf("wait for %s to be %s on %s: it is %s: %s", vipName, want, h.Name, control.ShownState(last), last.Why)
	}
	return nil
}

// ended reports whether the daemon of the host has ended.
func (h *host) ended() bool {
	select {
	case <-h.agent.Process().Done():
		return true
	default:
		return false
	}
}

// answered waits until a host answers a probe that is sent at least some time
// after its first answer.
func (s *stage) answered(ctx context.Context, name string, more time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	first, err := s.probes.WaitAnswer(ctx, name)
	for p := first; err == nil && p.Sent.Sub(first.Sent) < more; {
		p, err = s.probes.WaitAnswer(ctx, name)
	}
	return err
}

// logs is what the daemons wrote.
func (s *stage) logs() map[string]string {
	logs := map[string]string{}
	for _, h := range []*host{s.lb1, s.lb2} {
		if h != nil && h.agent != nil {
			logs[h.Name] = h.agent.Log()
		}
	}
	return logs
}
