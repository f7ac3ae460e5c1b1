package netif

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"github.com/vipd/vipd/testenv"
	"golang.org/x/sys/unix"
)

// frame is what arrived on the observer's port.
type frame struct {
	ethernet.Frame
	raw []byte
	at  time.Time
	arp *arp.Packet // nil when it is something else
}

// tapBuffer holds 1500 frames and more, so that the observer loses none while
// it waits for a processor.
const tapBuffer = 16 << 20

// tap gives every frame that arrives at eth0 of ns.
func tap(t *testing.T, ns *testenv.NS) <-chan frame {
	t.Helper()
	var conn *packet.Conn
	check(t, ns.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil)
		return err
	}))
	check(t, must(conn.SyscallConn()).Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, tapBuffer) // an ordinary user may not
	}))
	frames := make(chan frame, 10000)
	closing, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, _, err := conn.ReadFrom(buf)
			select {
			case <-closing:
				return
			default:
			}
			if err != nil {
				continue // the link went away
			}
			f := frame{raw: append([]byte{}, buf[:n]...), at: time.Now()}
			if f.UnmarshalBinary(f.raw) != nil {
				continue
			}
			if p := new(arp.Packet); f.EtherType == ethernet.EtherTypeARP && p.UnmarshalBinary(f.Payload) == nil {
				f.arp = p
			}
			frames <- f
		}
	}()
	t.Cleanup(func() { close(closing); _ = conn.Close(); <-done })
	return frames
}

// drain takes the frames that have arrived so far.
func drain(frames <-chan frame) []frame {
	var out []frame
	for {
		select {
		case f := <-frames:
			out = append(out, f)
		default:
			return out
		}
	}
}

// neighbour is the MAC that the host behind the cable has for ip, nil for none.
func neighbour(t *testing.T, ns *testenv.NS, ip string) net.HardwareAddr {
	t.Helper()
	index := must(ns.Netlink().LinkByName("eth0")).Attrs().Index
	for _, n := range must(ns.Netlink().NeighList(index, 0)) {
		if n.IP.String() == ip && n.State&(unix.NUD_INCOMPLETE|unix.NUD_FAILED) == 0 {
			return n.HardwareAddr
		}
	}
	return nil
}

// poke sends one UDP datagram from the host in ns, so that it has to resolve ip.
func poke(t *testing.T, ns *testenv.NS, ip string) {
	t.Helper()
	check(t, ns.Do(func() error {
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 9)))
		if err != nil {
			return err
		}
		_, err = conn.Write([]byte("x"))
		return errors.Join(err, conn.Close())
	}))
}

func writeFile(name, value string) error { return os.WriteFile(name, []byte(value), 0o600) }
