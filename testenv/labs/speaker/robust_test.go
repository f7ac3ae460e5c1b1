package speaker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	wire "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/bgp/speaker"
	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// core is the other end of a child's pipes, which a test holds.
type core struct {
	t       testing.TB
	in      io.WriteCloser
	process *testenv.Process

	mu   sync.Mutex
	said []string
}

// child starts a child on the host, and beats for it until the returned function
// is called.
func child(t testing.TB, h *testenv.Host) (c *core, silent func()) {
	t.Helper()
	words := command(h)
	cmd := exec.Command(words[0], words[1:]...)
	in, err := cmd.StdinPipe()
	ok(t, err)
	out, w, err := os.Pipe()
	ok(t, err)
	cmd.Stdout = w
	c = &core{t: t, in: in}
	c.process, err = h.Start(cmd)
	ok(t, err)
	ok(t, w.Close())
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			c.mu.Lock()
			c.said = append(c.said, s.Text())
			c.mu.Unlock()
		}
	}()
	t.Cleanup(func() { c.process.Kill(); <-read; _ = out.Close() })
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.say(`{"beat":true}`)
			case <-stop:
				return
			}
		}
	}()
	silent = sync.OnceFunc(func() { close(stop); <-stopped })
	t.Cleanup(silent)
	return c, silent
}

func (c *core) say(line string) { _, _ = io.WriteString(c.in, line+"\n") } // a child that is gone is seen elsewhere

// heard reports whether the child said something with this in it.
func (c *core) heard(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.said {
		if strings.Contains(s, text) {
			return true
		}
	}
	return false
}

func (c *core) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = nil
}

func (c *core) configure(conf bgp.Config) {
	b, err := json.Marshal(map[string]any{"config": conf})
	ok(c.t, err)
	c.say(string(b))
}

const announceService = `{"table":{"Seq":%d,"Whole":true,"Changes":[{"Neighbor":"tor","Announce":[{"Prefix":"198.51.100.53/32"}]}]}}`

// Lines that mean nothing are said to be so, and sessions do not notice.
func TestGarbage(t *testing.T) {
	torHost, h := rack(t)
	tor, err := peers.StartBIRDToR(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS}))
	ok(t, err)
	c, _ := child(t, h)
	c.configure(config(map[string]bgp.Neighbor{"tor": neighbor("10.0.0.1")}))
	c.say(fmt.Sprintf(announceService, 1))
	knows(t, tor, service)
	for i, line := range []string{"", "x", "{}", "[[[[", `{"table":{"Seq":9,"Changes":[{"Neighbor":"tor","Announce":[{}]}]}}`, strings.Repeat("y", 3<<20), "\x00\xff\xfe"} {
		c.forget()
		c.say(line)
		testenv.Eventually(t, soon, fmt.Sprintf("line %d is asked for again", i), func() bool { return c.heard(`"again":"a line could not be read"`) })
	}
	// The rest of a table that never began, for nobody, and for somebody unknown.
	c.say(`{"table":{"Seq":5,"Changes":[{"Neighbor":"nobody","Announce":[{"Prefix":"192.0.2.1/32"}]}]}}`)
	c.say(`{"leave":null,"beat":true}`)
	testenv.Eventually(t, soon, "the table is taken", func() bool { return c.heard(`"announced":{"Seq":5,"Count":2}`) })
	if c.heard(`"State":"IDLE"`) {
		t.Error("the session ended")
	}
	knows(t, tor, service)
}

// A core that is silent has everything withdrawn; the session stays, and the
// routes are back as soon as the core has said them again.
func TestSilence(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		torHost, h := rack(t)
		tor, err := s.start(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS}))
		ok(t, err)
		c, silent := child(t, h)
		c.configure(config(map[string]bgp.Neighbor{"tor": neighbor("10.0.0.1")}))
		c.say(fmt.Sprintf(announceService, 1))
		knows(t, tor, service)
		c.forget()
		silent()
		knows(t, tor)
		testenv.Eventually(t, soon, "the child asks", func() bool { return c.heard(`"again":"no heartbeat"`) })
		if up, err := tor.Established(t.Context(), "10.0.0.2"); err != nil || !up {
			t.Errorf("session established: %t %v", up, err)
		}
		c.say(`{"beat":true}`)
		c.say(fmt.Sprintf(announceService, 2))
		testenv.Eventually(t, soon, "the table is taken", func() bool { return c.heard(`"announced":{"Seq":2,"Count":1}`) })
	})
}

// A core that is stopped cannot know any more whether the service lives: its
// prefix goes. It comes back with the core.
func TestCoreStopped(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		torHost, h := rack(t)
		tor, err := s.start(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS}))
		ok(t, err)
		conf, err := json.Marshal(config(map[string]bgp.Neighbor{"tor": neighbor("10.0.0.1")}))
		ok(t, err)
		cmd := exec.Command(command(h)[4])
		cmd.Env = append(os.Environ(), asCore+"="+string(conf))
		p, err := h.Start(cmd)
		ok(t, err)
		knows(t, tor, service)
		began := time.Now()
		ok(t, p.Signal(syscall.SIGSTOP))
		knows(t, tor)
		t.Logf("gone after %v", time.Since(began))
		ok(t, p.Signal(syscall.SIGCONT))
		knows(t, tor, service)
		p.Kill()
		knows(t, tor)
	})
}

// The child of a core that is killed ends its sessions and itself.
func TestPipeCloses(t *testing.T) {
	torHost, h := rack(t)
	tor, err := peers.StartFRRToR(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS}))
	ok(t, err)
	c, silent := child(t, h)
	c.configure(config(map[string]bgp.Neighbor{"tor": neighbor("10.0.0.1")}))
	c.say(fmt.Sprintf(announceService, 1))
	knows(t, tor, service)
	silent()
	ok(t, c.in.Close())
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := c.process.Wait(ctx); err != nil {
		t.Errorf("the child's end: %v", err)
	}
	knows(t, tor)
	said, err := tor.Show(t.Context(), "show bgp neighbors 10.0.0.2 json")
	ok(t, err)
	if !strings.Contains(said, "vipd ended") {
		t.Errorf("the ToR does not know why:\n%s", said)
	}
}

// A core that speaks another version is refused at once.
func TestOtherVersion(t *testing.T) {
	testenv.Require(t)
	_, h := rawHosts(t)
	c, _ := child(t, h)
	c.say(`{"hello":{"Protocol":2}}`)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := c.process.Wait(ctx); err == nil || !strings.Contains(c.process.Output(), "the core speaks version 2 of the protocol, this program 1") {
		t.Errorf("the child's end: %v %s", err, c.process.Output())
	}
}

// At the end of Run the neighbors are told why, and nothing is left.
func TestStop(t *testing.T) {
	torHost, h := rack(t)
	tor, err := peers.StartFRRToR(torHost, torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS}))
	ok(t, err)
	sp := speak(t, h, config(map[string]bgp.Neighbor{"tor": neighbor("10.0.0.1")}))
	sp.p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
	knows(t, tor, service)
	sp.stop()
	knows(t, tor)
	said, err := tor.Show(t.Context(), "show bgp neighbors 10.0.0.2 json")
	ok(t, err)
	if !strings.Contains(said, "vipd stops") {
		t.Errorf("the ToR does not know why:\n%s", said)
	}
	if err := syscall.Kill(sp.pid, 0); err == nil {
		t.Errorf("process %d is still there", sp.pid)
	}
}

// With a graceful restart the ToR keeps the routes while nobody speaks, and takes
// the new ones without a gap.
func TestKeep(t *testing.T) {
	withEach(t, func(t *testing.T, s starter) {
		torHost, h := rack(t)
		tc := torConfig(peers.ToRNeighbor{Address: "10.0.0.2", AS: localAS})
		tc.GracefulRestart = true
		tor, err := s.start(torHost, tc)
		ok(t, err)
		c := config(map[string]bgp.Neighbor{"tor": neighbor("10.0.0.1")})
		c.GracefulRestart = time.Minute
		other := netip.MustParsePrefix("198.51.100.54/32")
		sp := speak(t, h, c)
		sp.p.Announce(table("tor", bgp.Route{Prefix: service}, bgp.Route{Prefix: other}), 1)
		knows(t, tor, service, other)
		inKernel(t, torHost, service)
		watch, cancel := context.WithCancel(t.Context())
		seen := make(chan string, 1)
		go func() { seen <- gap(watch, torHost) }()
		sp.p.Keep()
		sp.stop()
		again := speakWith(t, h, c, func(o *speaker.Options) { o.Kept = true })
		again.p.Announce(table("tor", bgp.Route{Prefix: service}), 1)
		knows(t, tor, service) // the other one is gone with the End-of-RIB
		cancel()
		if missing := <-seen; missing != "" {
			t.Errorf("the ToR's kernel lost the route meanwhile: %s", missing)
		}
	})
}

// gap asks the kernel of the host about the service until ctx ends, and returns
// what it said when it knew no way.
func gap(ctx context.Context, h *testenv.Host) string {
	for ctx.Err() == nil {
		got, err := h.Run(context.Background(), "ip", "route", "show", service.String())
		if err != nil || !strings.Contains(got, "via") {
			return fmt.Sprintf("%q %v", got, err)
		}
	}
	return ""
}

// A ToR that sends ten thousand routes has none of them kept; ours reach it.
func TestManyRoutesSent(t *testing.T) {
	testenv.Require(t)
	torHost, h := rawHosts(t)
	sp := speak(t, h, passive(map[string]bgp.Neighbor{"tor": neighbor("10.0.0.1"), "two": neighbor("10.0.0.3")}))
	sp.p.Announce(bgp.Table{"tor": {{Prefix: service}}, "two": {{Prefix: service}}}, 1)
	ok(t, torHost.AddAddress("eth0", netip.MustParsePrefix("10.0.0.3/24")))
	r := connect(t, torHost, "10.0.0.1", true)
	two := connect(t, torHost, "10.0.0.3", true)
	for i := range 10000 {
		ok(t, r.send(update(origin+asPath+nextHop, fmt.Sprintf("20 cb%02x%02x01", i>>8, i&0xff))))
	}
	// Each of the two is asked for all that it was told: only what is ours.
	ok(t, r.send(frame(wire.BGP_MSG_ROUTE_REFRESH, []byte{0, 1, 0, 1})))
	_, err := r.until(wire.BGP_MSG_UPDATE)
	ok(t, err)
	ok(t, two.send(frame(wire.BGP_MSG_ROUTE_REFRESH, []byte{0, 1, 0, 1})))
	body, err := two.until(wire.BGP_MSG_UPDATE)
	ok(t, err)
	m, err := wire.ParseBGPBody(&wire.BGPHeader{Len: uint16(len(body) + 19), Type: wire.BGP_MSG_UPDATE}, body)
	ok(t, err)
	if got := m.Body.(*wire.BGPUpdate).NLRI; len(got) != 1 || got[0].NLRI.String() != service.String() {
		t.Errorf("the other neighbor heard %v", got)
	}
	sp.p.Announce(bgp.Table{"tor": {{Prefix: service}}}, 2)
	body, err = two.until(wire.BGP_MSG_UPDATE)
	ok(t, err)
	if want := "\x00\x05\x20\xc6\x33\x64\x35\x00\x00"; string(body) != want {
		t.Errorf("withdrawn: %x, want %x", body, want)
	}
}

// A ToR that reads nothing any more holds nobody else up.
func TestNotReading(t *testing.T) {
	testenv.Require(t)
	torHost, h := rawHosts(t)
	ok(t, torHost.AddAddress("eth0", netip.MustParsePrefix("10.0.0.3/24")))
	sp := speak(t, h, passive(map[string]bgp.Neighbor{"deaf": neighbor("10.0.0.1"), "two": neighbor("10.0.0.3")}))
	sp.p.Announce(bgp.Table{"deaf": {{Prefix: service}}, "two": {{Prefix: service}}}, 1)
	deaf := connect(t, torHost, "10.0.0.1", true)
	two := connect(t, torHost, "10.0.0.3", true)
	_ = deaf.conn.(*net.TCPConn).SetReadBuffer(4096)
	for seq := uint64(2); seq < 12; seq++ { // far more than the sockets hold
		var routes []bgp.Route
		for i := range 10000 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(1 + i>>8), byte(i), 1}), 32)
			routes = append(routes, bgp.Route{Prefix: p, Attributes: bgp.Attributes{MED: uint32(seq)*100000 + uint32(i)}})
		}
		sp.p.Announce(bgp.Table{"deaf": routes, "two": {{Prefix: service, Attributes: bgp.Attributes{MED: uint32(seq)}}}}, seq)
		_, err := two.until(wire.BGP_MSG_UPDATE)
		ok(t, err)
	}
	testenv.Eventually(t, soon, "the last table is announced", func() bool {
		return has(sp, func(a speaker.Announced) bool { return a.Seq == 11 })
	})
}

// A ToR that resets the session as soon as it is up gets a new one each time, and
// the other one does not notice.
func TestFlapping(t *testing.T) {
	testenv.Require(t)
	torHost, h := rawHosts(t)
	ok(t, torHost.AddAddress("eth0", netip.MustParsePrefix("10.0.0.3/24")))
	sp := speak(t, h, passive(map[string]bgp.Neighbor{"flapping": neighbor("10.0.0.1"), "two": neighbor("10.0.0.3")}))
	sp.p.Announce(bgp.Table{"flapping": {{Prefix: service}}, "two": {{Prefix: service}}}, 1)
	two := connect(t, torHost, "10.0.0.3", true)
	for i := range uint64(20) {
		r := connect(t, torHost, "10.0.0.1", true)
		ok(t, r.send(frame(wire.BGP_MSG_NOTIFICATION, []byte{6, 4})))
		testenv.Eventually(t, soon, "the end is noticed", func() bool { return sp.session("flapping").Flaps == i+1 })
		_ = r.conn.Close()
	}
	ok(t, two.send(frame(wire.BGP_MSG_ROUTE_REFRESH, []byte{0, 1, 0, 1})))
	_, err := two.until(wire.BGP_MSG_UPDATE)
	ok(t, err)
	if got := sp.session("two"); got.State != bgp.Established || got.Flaps != 0 {
		t.Errorf("the other session: %+v", got)
	}
}

// Other prefixes, and other neighbors beside it, leave a session alone; another
// timer does not.
func TestReconfigure(t *testing.T) {
	testenv.Require(t)
	torHost, h := rawHosts(t)
	ok(t, torHost.AddAddress("eth0", netip.MustParsePrefix("10.0.0.3/24")))
	both := bgp.Table{"one": {{Prefix: service}}, "two": {{Prefix: service}}}
	one := passive(map[string]bgp.Neighbor{"one": neighbor("10.0.0.1")})
	sp := speak(t, h, one)
	sp.p.Announce(both, 1)
	r := connect(t, torHost, "10.0.0.1", true)
	two := passive(map[string]bgp.Neighbor{"one": neighbor("10.0.0.1"), "two": neighbor("10.0.0.3")})
	sp.p.Configure(two)
	second := connect(t, torHost, "10.0.0.3", true)
	sp.p.Announce(bgp.Table{"one": {{Prefix: service, Attributes: bgp.Attributes{MED: 5}}}, "two": both["two"]}, 2)
	_, err := r.until(wire.BGP_MSG_UPDATE)
	ok(t, err)
	changed := neighbor("10.0.0.1")
	changed.ConnectRetry = 30 * time.Second
	sp.p.Configure(passive(map[string]bgp.Neighbor{"one": changed}))
	for _, x := range []*raw{r, second} {
		if _, err := x.until(0); err == nil || !strings.Contains(err.Error(), "NOTIFICATION") {
			t.Errorf("the session's end: %v", err)
		}
	}
	connect(t, torHost, "10.0.0.1", true)
	if err := r.send(frame(wire.BGP_MSG_KEEPALIVE, nil)); err == nil {
		_, _, err = r.next()
		if err == nil {
			t.Error("the old session is still there")
		}
	}
}
