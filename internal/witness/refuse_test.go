package witness

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/pair"
	"github.com/vipd/vipd/pkg/vote"
	"github.com/vipd/vipd/testenv"
)

// TestNotBelieved: what is not sealed for this witness is counted by cause, and
// answered by nothing.
func TestNotBelieved(t *testing.T) {
	testenv.Require(t)
	t.Parallel()
	s, _ := serve(t, func(c *ServerConfig) { c.Name = "rack3" })
	wrongKey := dial(t, s, "lb1", func(c *RemoteConfig) { c.Key = bytes.Repeat([]byte("k"), 32) })
	wrongName := dial(t, s, "lb1", func(c *RemoteConfig) { c.Witness = "rack4" })
	wrongKey.ask(vote.Renew, "web", 1)
	wrongName.ask(vote.Renew, "web", 1)
	raw, err := net.Dial("udp", s.Address().String())
	must(t, err)
	t.Cleanup(func() { must(t, raw.Close()) })
	send := func(b []byte) {
		_, err := raw.Write(b)
		must(t, err)
	}
	key, err := pair.NewKey(secret)
	must(t, err)
	sealed := func(typ pair.Type, payload string) []byte {
		b, err := key.Seal(nil, pair.Header{Type: typ, From: "lb1", To: "rack3", Boot: 1, Seq: 1}, []byte(payload))
		must(t, err)
		return b
	}
	send([]byte("x"))
	send(sealed(pair.TypeState, ""))
	send(sealed(pair.TypeAsk, "\x05x"))
	send(make([]byte, 2000))
	send(sealed(pair.TypeAsk, "\x00")) // proves nothing
	for cause, want := range map[pair.Cause]uint64{
		pair.CauseKey: 1, pair.CauseReceiver: 1, pair.CauseMalformed: 2, pair.CauseType: 1, pair.CauseOversized: 1, pair.CauseChallenge: 1,
	} {
		testenv.Eventually(t, within, fmt.Sprintf("%s is %d", cause, want), func() bool { return s.Counters().Refused[cause] == want })
	}
	if c := s.Counters(); c.Sent != 1 || c.Granted != 0 || c.Hosts != 1 {
		t.Errorf("counters %+v", c)
	}
}

// TestRecording throws what was said before at a witness that was started anew,
// and at one that was not.
func TestRecording(t *testing.T) {
	testenv.Require(t)
	t.Parallel()
	s, stop := serve(t, nil)
	var recorded [][]byte
	relay, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { must(t, relay.Close()) })
	one := dial(t, s, "lb1", nil)
	one.win(t, "web", 1)
	key, err := pair.NewKey(secret)
	must(t, err)
	// As the host would have sent it, with the number after its newest.
	c := one.Client.(*Remote)
	c.mu.Lock()
	payload := vote.AppendAsk(vote.AppendCluster(nil, "blue"), vote.Ask{Kind: vote.Release, VIP: "web", Number: 1 << 40})
	b, err := key.Seal(nil, c.session.Next(time.Now(), pair.TypeAsk), payload)
	c.mu.Unlock()
	must(t, err)
	recorded = append(recorded, b)
	throw := func() {
		for _, b := range recorded {
			_, err := relay.WriteToUDPAddrPort(b, s.Address())
			must(t, err)
		}
	}
	throw()
	testenv.Eventually(t, within, "the message is taken once", func() bool { return s.Counters().Released == 1 })
	throw()
	testenv.Eventually(t, within, "it is refused the second time", func() bool { return s.Counters().Refused[pair.CauseReplay] == 1 })
	stop()
	at := s.Address()
	s, _ = serve(t, func(c *ServerConfig) { c.Listen = at })
	throw()
	testenv.Eventually(t, within, "it is refused by the next process", func() bool { return s.Counters().Refused[pair.CauseChallenge] == 1 })
	if n := s.Counters().Released; n != 0 {
		t.Errorf("%d releases", n)
	}
}

// TestSource: the answer comes from the address that was asked, in both families.
func TestSource(t *testing.T) {
	testenv.Require(t)
	t.Parallel()
	s, _ := serve(t, func(c *ServerConfig) { c.Listen = netip.MustParseAddrPort("[::]:0") })
	for _, to := range []string{"127.0.0.1", "127.0.0.7", "::1"} {
		a := netip.AddrPortFrom(netip.MustParseAddr(to), s.Address().Port())
		c, err := net.Dial("udp", a.String())
		must(t, err)
		key, err := pair.NewKey(secret)
		must(t, err)
		b, err := key.Seal(nil, pair.Header{Type: pair.TypeAsk, From: to, To: "rack3", Boot: 1, Seq: 1}, []byte{0})
		must(t, err)
		_, err = c.Write(b)
		must(t, err)
		must(t, c.SetReadDeadline(time.Now().Add(within)))
		if _, err := c.Read(make([]byte, pair.MaxDatagram)); err != nil { // the socket is connected
			t.Errorf("%s: %v", to, err)
		}
		must(t, c.Close())
	}
}

// TestListenRefuses: what cannot be opened says so.
func TestListenRefuses(t *testing.T) {
	testenv.Require(t)
	t.Parallel()
	s, _ := serve(t, nil)
	if _, err := Listen(ServerConfig{Listen: s.Address(), Key: secret, MaxTTL: ttl}, slog.New(slog.DiscardHandler)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that is taken: %v", err)
	}
	if _, err := Listen(ServerConfig{Listen: loopback, Key: secret[:31]}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a short key is taken")
	}
}

// TestLimits: one address cannot have it all, and others do not notice.
func TestLimits(t *testing.T) {
	t.Parallel()
	var l limits
	now := time.Now()
	noisy, quiet := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1")
	allowed := 0
	for i := range 2 * limitBurst {
		if i%2 == 0 {
			noisy = noisy.Next() // of the same /64
		}
		if l.allow(now, noisy) {
			allowed++
		}
	}
	if allowed != limitBurst || !l.allow(now, quiet) {
		t.Errorf("%d of %d are allowed", allowed, 2*limitBurst)
	}
	if later := now.Add(time.Second / limitRate); !l.allow(later, noisy) || l.allow(later, noisy) {
		t.Error("not one more after the time for one")
	}
}

// BenchmarkServer is how long one message with ten Asks takes a witness, without
// its system calls, and with them.
func BenchmarkServer(b *testing.B) {
	for _, calls := range []bool{false, true} {
		b.Run(fmt.Sprintf("calls=%t", calls), func(b *testing.B) {
			s, err := Listen(ServerConfig{Listen: loopback, Key: secret, MaxTTL: time.Nanosecond, Votes: 1e5, Hosts: 1e5}, slog.New(slog.DiscardHandler))
			must(b, err)
			b.Cleanup(func() { must(b, s.Close()) })
			s.cfg.MaxTTL = time.Second
			s.grantor.SetMax(time.Second)
			client := netip.MustParseAddrPort("127.0.0.1:9")
			key, err := pair.NewKey(secret)
			must(b, err)
			session := pair.NewSession("lb1", "rack3", 7)
			payload := vote.AppendCluster(nil, "blue")
			for i := range 10 {
				payload = vote.AppendAsk(payload, vote.Ask{Kind: vote.Renew, VIP: fmt.Sprint("vip-", i), Number: 1, Epoch: 1, TTL: ttl})
			}
			h := session.Next(time.Now(), pair.TypeAsk)
			h.Echo = pair.Echo{Boot: s.boot, Seq: 1}
			first, err := key.Seal(nil, h, payload)
			must(b, err)
			s.take(time.Now(), first, nil, client) // proves nothing, but has us sent a challenge
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				h := session.Next(time.Now(), pair.TypeAsk)
				h.Echo = pair.Echo{Boot: s.boot, Seq: 1}
				buf, err = key.Seal(buf[:0], h, payload)
				must(b, err)
				*s.limits.of(client.Addr()) = bucket{}
				if calls {
					_, err = s.conn.WriteToUDPAddrPort(buf, s.Address())
					must(b, err)
					n, c, _, _, err := s.conn.ReadMsgUDPAddrPort(s.in, s.control)
					must(b, err)
					s.take(time.Now(), s.in[:n], s.control[:c], client)
				} else {
					s.take(time.Now(), buf, nil, client)
				}
			}
			if c := s.Counters(); c.Granted < uint64(b.N) {
				b.Fatalf("%+v", c)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
