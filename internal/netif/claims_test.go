package netif

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/testenv"
)

// speaker sends frames out of a link of the calling thread's namespace.
func speaker(name string) (*packet.Conn, net.HardwareAddr, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, nil, err
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_LOOP, nil)
	return conn, ifi.HardwareAddr, err
}

// TestClaims: another machine's announcements of watched addresses are heard, in
// both families and with the link they came in by; our own, those of other
// addresses, and what is no announcement are not.
func TestClaims(t *testing.T) {
	there := pair(t, "claim0", []string{"192.0.2.1/24", "fd00::1/64"}, []string{"192.0.2.2/24", "fd00::2/64"})
	index := named(t, "claim0").Attrs().Index
	var theirs *packet.Conn
	var theirMAC net.HardwareAddr
	check(t, there.Do(func() (err error) {
		theirs, theirMAC, err = speaker("eth0")
		return err
	}))
	ours, ourMAC, err := speaker("claim0")
	check(t, err)
	t.Cleanup(func() { check(t, theirs.Close()); check(t, ours.Close()) })

	claims := make(chan Claim, 1000)
	c := NewClaims(quiet)
	c.Watch(map[int][]netip.Addr{index: addrs("192.0.2.100", "fd00::100"), index + 1000: addrs("192.0.2.101")})
	run(t, func(ctx context.Context) error { return c.Run(ctx, func(claim Claim) { claims <- claim }) })

	send := func(conn *packet.Conn, mac net.HardwareAddr, ip netip.Addr) {
		t.Helper()
		frame, err := arpRequest(mac, ip, neighbourAt{})
		if ip.Is6() {
			frame, err = unsolicitedNA(mac, netip.MustParseAddr("fe80::1"), ip, false)
		}
		check(t, err)
		_, err = conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
		check(t, err)
	}
	question := must(arpRequest(theirMAC, netip.MustParseAddr("192.0.2.100"), neighbourAt{ip: netip.MustParseAddr("192.0.2.1"), mac: ourMAC}))
	heard := map[netip.Addr]Claim{}
	testenv.Eventually(t, patience, "both families to be heard", func() bool {
		_, err := theirs.WriteTo(question, &packet.Addr{HardwareAddr: ourMAC})
		check(t, err)
		for _, ip := range addrs("192.0.2.101", "fd00::102", "192.0.2.100", "fd00::100") {
			send(ours, ourMAC, ip)
			send(theirs, theirMAC, ip)
		}
		for len(claims) > 0 {
			claim := <-claims
			heard[claim.Address] = claim
			if claim.Index != index || claim.MAC.String() != theirMAC.String() {
				t.Fatalf("heard %+v", claim)
			}
		}
		return len(heard) >= 2
	})
	if _, arp := heard[netip.MustParseAddr("192.0.2.100")]; !arp || len(heard) != 2 {
		t.Errorf("heard %+v", heard)
	}
}
