package labs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// sites are three networks with a router between them. In each is a host, which hears
// none of the others by VRRP and has no pair channel to them, and a member of an etcd.
type sites struct {
	*pair
	agents  []*agent
	members []*member
	watch   *kernels
}

// member is a server of the etcd.
type member struct {
	host *testenv.Host
	args []string
	proc *testenv.Process
}

// etcdTTL is how long a promise of an etcd lasts, as it comes.
const etcdTTL = 5 * time.Second

func newSites(t *testing.T) *sites {
	t.Helper()
	s := &sites{pair: bare(t, "etcd")}
	router := s.host("router")
	if err := router.Sysctl("net.ipv4.ip_forward", "1"); err != nil {
		t.Skipf("no router without it: %v", err)
	}
	var initial, endpoints []string
	for i := range 3 {
		n := i + 1
		segment, err := s.lab.Segment(fmt.Sprintf("site%d", n))
		if err == nil {
			_, err = router.Attach(segment, fmt.Sprintf("10.0.%d.1/24", n))
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"lb", "etcd"} {
			address := fmt.Sprintf("10.0.%d.%d", n, map[string]int{"lb": 2, "etcd": 3}[name])
			h, err := s.lab.Outsider(fmt.Sprintf("%s%d", name, n), segment, address+"/24")
			if err != nil {
				t.Fatal(err)
			}
			route(t, h, "10.0.0.0/16", fmt.Sprintf("10.0.%d.1", n))
			if name == "lb" {
				s.hosts = append(s.hosts, h)
				continue
			}
			initial = append(initial, fmt.Sprintf("etcd%d=http://%s:2380", n, address))
			endpoints = append(endpoints, fmt.Sprintf("http://%s:2379", address))
			s.members = append(s.members, &member{host: h})
		}
	}
	for i, m := range s.members {
		name, peer, _ := strings.Cut(initial[i], "=")
		m.args = []string{
			"--name", name, "--data-dir", filepath.Join(m.host.Dir(), "data"), "--log-level", "error",
			"--listen-client-urls", endpoints[i], "--advertise-client-urls", endpoints[i],
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", strings.Join(initial, ","),
			"--heartbeat-interval", "50", "--election-timeout", "500",
		}
		s.start(m)
	}
	s.leader()
	s.watch = s.kernels()
	for i, h := range s.hosts {
		s.agents = append(s.agents, s.vipd(h, web(150-25*i, brisk, fmt.Sprintf(
			"takeover = \"votes\"\n[witness.sites]\ntype = \"etcd\"\nendpoints = [%q, %q, %q]\n", endpoints[0], endpoints[1], endpoints[2]))))
	}
	return s
}

// start runs a member, again after it was killed.
func (s *sites) start(m *member) {
	s.t.Helper()
	cmd := exec.Command("etcd", m.args...)
	cmd.Env = append(os.Environ(), "ETCD_UNSUPPORTED_ARCH=") // it has nothing to say here
	var err error
	if m.proc, err = m.host.Start(cmd); err != nil {
		s.t.Fatal(err)
	}
}

// leads asks a member whether it leads.
func (m *member) leads(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = m.host.NS.Do(func() error {
			c, err = (&net.Dialer{}).DialContext(ctx, network, addr)
			return err
		})
		return c, err
	}}}
	url := m.args[7] + "/v3/maintenance/status"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte("{}")))
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	var status struct {
		Header struct {
			ID string `json:"member_id"`
		} `json:"header"`
		Leader string `json:"leader"`
	}
	return err == nil && json.Unmarshal(text, &status) == nil && status.Leader != "" && status.Leader == status.Header.ID
}

// leader waits until a member leads.
func (s *sites) leader() (leads *member) {
	s.t.Helper()
	testenv.Eventually(s.t, 30*time.Second, "a member leads", func() bool {
		for _, m := range s.members {
			if m.leads(s.t.Context()) {
				leads = m
			}
		}
		return leads != nil
	})
	return leads
}

// holder waits until a host says that it is Active and its kernel has the address.
func (s *sites) holder(within time.Duration, but int) (one int) {
	s.t.Helper()
	one = -1
	testenv.Eventually(s.t, within, "a host holds", func() bool {
		for i, h := range s.hosts {
			if i != but && h.Holds(vip4) {
				one = i
			}
		}
		return one >= 0
	})
	s.agents[one].waitState("web", "ACTIVE")
	return one
}

// kernels looks all the time which kernels have the address.
type kernels struct {
	quit chan struct{}
	done chan struct{}
	two  []string           // when it was more than one
	dead chan *testenv.Host // a host of which the kernel does not count any more
}

func (s *sites) kernels() *kernels {
	k := &kernels{quit: make(chan struct{}), done: make(chan struct{}), dead: make(chan *testenv.Host)}
	go func() {
		defer close(k.done)
		hosts := append([]*testenv.Host(nil), s.hosts...)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-k.quit:
				return
			case dead := <-k.dead:
				hosts = withoutHost(hosts, dead)
			case <-tick.C:
				var names []string
				for _, h := range hosts {
					if h.Holds(vip4) {
						names = append(names, h.Name)
					}
				}
				if len(names) > 1 {
					k.two = append(k.two, fmt.Sprintf("%s: %v", time.Now().Format("05.000"), names))
				}
			}
		}
	}()
	s.t.Cleanup(func() { k.neverTwo(s.t) })
	return k
}

func withoutHost(list []*testenv.Host, dead *testenv.Host) []*testenv.Host {
	var rest []*testenv.Host
	for _, h := range list {
		if h != dead {
			rest = append(rest, h)
		}
	}
	return rest
}

// neverTwo ends the watch.
func (k *kernels) neverTwo(t *testing.T) {
	select {
	case <-k.done:
		return
	default:
		close(k.quit)
	}
	<-k.done
	if len(k.two) > 0 {
		t.Errorf("two kernels had the address %d times, first %s", len(k.two), k.two[0])
	}
}

// TestSites: of three hosts that share no network one holds at a time, by an etcd of
// three members: a stop moves it at once, a death within the promise and a second; a
// dead leader moves nothing, and without a majority of the members nobody holds.
func TestSites(t *testing.T) {
	s := newSites(t)
	first := s.holder(4*etcdTTL, -1)

	mark := time.Now()
	s.agents[first].stop()
	t.Logf("the daemon ended after %v", time.Since(mark).Round(time.Millisecond))
	second := s.holder(4*etcdTTL, first)
	if took := time.Since(mark); took > 3*time.Second {
		t.Errorf("a polite stop moved it after %v: the vote was not handed back", took)
	} else {
		t.Logf("a polite stop moved it after %v", took.Round(time.Millisecond))
	}
	s.agents[first].start()
	s.agents[first].waitState("web", "BACKUP")

	leader := s.leader()
	mark = time.Now()
	leader.proc.Kill()
	testenv.Eventually(t, 4*etcdTTL, "another leader, and a promise to be over", func() bool {
		if !s.hosts[second].Holds(vip4) {
			t.Fatalf("%s let go %v after the leader's death\n%s", s.hosts[second].Name, time.Since(mark), s.agents[second].proc.Output())
		}
		return time.Since(mark) > etcdTTL+time.Second
	})

	// Two of three are gone.
	rest := s.leader()
	mark = time.Now()
	if err := rest.proc.SignalGroup(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 4*etcdTTL, "nobody holds", func() bool { return !s.hosts[second].Holds(vip4) })
	if took := time.Since(mark); took > etcdTTL {
		t.Errorf("held for %v without a majority of the members", took)
	} else {
		t.Logf("let go %v after the majority", took.Round(time.Millisecond))
	}
	s.agents[second].eventually(10*time.Second, "to say why", func() bool {
		return strings.Contains(s.agents[second].must("why", "web"), "waits for votes")
	})
	if err := rest.proc.SignalGroup(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.start(leader)
	third := s.holder(6*etcdTTL, -1)

	mark = time.Now()
	s.watch.dead <- s.hosts[third]
	if err := s.lab.PortDown(s.hosts[third]); err != nil {
		t.Fatal(err)
	}
	s.agents[third].kill()
	s.holder(4*etcdTTL, third)
	took := time.Since(mark)
	t.Logf("a dead host was replaced after %v", took.Round(time.Millisecond))
	if took > etcdTTL+time.Second {
		t.Errorf("that is more than %v", etcdTTL+time.Second)
	}
	s.watch.neverTwo(t)
}
