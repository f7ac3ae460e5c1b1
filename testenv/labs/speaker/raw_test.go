package speaker_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	wire "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/testenv"
)

// raw is a neighbor that says what a test wants.
type raw struct {
	t    testing.TB
	conn net.Conn
}

// patience bounds how long a raw neighbor waits for a message.
const patience = 20 * time.Second

func rawHosts(t testing.TB) (tor, h *testenv.Host) {
	t.Helper()
	lab := testenv.TestLab(t)
	tor, err := lab.Host("tor", "10.0.0.1/24")
	ok(t, err)
	h, err = lab.Host("host", "10.0.0.2/24")
	ok(t, err)
	return tor, h
}

// passive is a configuration in which raw neighbors connect: it saves the two
// seconds that the library waits before it does.
func passive(neighbors map[string]bgp.Neighbor) bgp.Config {
	c := config(neighbors)
	c.ListenPort = 179
	for name, n := range neighbors {
		n.Passive = true
		n.HoldTime, n.Keepalive = 90*time.Second, 30*time.Second // they send no keepalives
		neighbors[name] = n
	}
	return c
}

// dial connects from the host to the speaker. It is refused while the speaker has
// not come that far.
func dial(t testing.TB, from *testenv.Host, source string) (*raw, bool) {
	t.Helper()
	var conn net.Conn
	err := from.NS.Do(func() error {
		var err error
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: patience}
		conn, err = d.DialContext(t.Context(), "tcp4", "10.0.0.2:179")
		return err
	})
	if err != nil {
		return nil, false
	}
	t.Cleanup(func() { _ = conn.Close() })
	ok(t, conn.SetDeadline(time.Now().Add(patience)))
	return &raw{t, conn}, true
}

func frame(kind byte, body []byte) []byte {
	b := make([]byte, 19, 19+len(body))
	for i := range 16 {
		b[i] = 0xff
	}
	binary.BigEndian.PutUint16(b[16:], uint16(19+len(body)))
	b[18] = kind
	return append(b, body...)
}

// openMessage offers what the speaker offers as well.
func openMessage(fourOctets bool) []byte {
	caps := []wire.ParameterCapabilityInterface{
		wire.NewCapMultiProtocol(wire.RF_IPv4_UC), wire.NewCapMultiProtocol(wire.RF_IPv6_UC), wire.NewCapRouteRefresh(),
	}
	if fourOctets {
		caps = append(caps, wire.NewCapFourOctetASNumber(torAS))
	}
	m, err := wire.NewBGPOpenMessage(torAS, 90, netip.MustParseAddr("10.0.0.1"), []wire.OptionParameterInterface{wire.NewOptionParameterCapability(caps)})
	if err != nil {
		panic(err)
	}
	b, err := m.Serialize()
	if err != nil {
		panic(err)
	}
	return b
}

func (r *raw) send(b []byte) error { _, err := r.conn.Write(b); return err }

// next reads a message.
func (r *raw) next() (kind byte, body []byte, err error) {
	if err := r.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	head := make([]byte, 19)
	if _, err := io.ReadFull(r.conn, head); err != nil {
		return 0, nil, err
	}
	body = make([]byte, max(int(binary.BigEndian.Uint16(head[16:]))-19, 0))
	_, err = io.ReadFull(r.conn, body)
	return head[18], body, err
}

// until reads messages until one of this kind; a NOTIFICATION ends it as well.
func (r *raw) until(kind byte) ([]byte, error) {
	for {
		k, body, err := r.next()
		switch {
		case err != nil:
			return nil, err
		case k == kind:
			return body, nil
		case k == wire.BGP_MSG_NOTIFICATION:
			return nil, errors.New("closed by a NOTIFICATION")
		}
	}
}

// establish exchanges OPEN and KEEPALIVE, and hears the first route.
func (r *raw) establish(fourOctets bool) error {
	if err := r.send(openMessage(fourOctets)); err != nil {
		return err
	}
	if _, err := r.until(wire.BGP_MSG_OPEN); err != nil {
		return err
	}
	if err := r.send(frame(wire.BGP_MSG_KEEPALIVE, nil)); err != nil {
		return err
	}
	_, err := r.until(wire.BGP_MSG_UPDATE)
	return err
}

// connect dials and establishes, as often as it takes.
func connect(t testing.TB, from *testenv.Host, source string, fourOctets bool) *raw {
	t.Helper()
	var r *raw
	testenv.Eventually(t, soon, "the session is established", func() bool {
		var ok bool
		if r, ok = dial(t, from, source); !ok {
			return false
		}
		if r.establish(fourOctets) == nil {
			return true
		}
		_ = r.conn.Close()
		return false
	})
	return r
}
