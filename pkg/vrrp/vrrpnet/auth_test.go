package vrrpnet

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/vrrp"
)

// signing is an Auth whose adverts a host with the same keys believes.
func signing(active uint8, keys ...uint8) *vrrp.Auth {
	a := &vrrp.Auth{Mode: vrrp.AuthEnforce, Keys: map[uint8]vrrp.Secret{}, ActiveKey: active, AntiReplay: vrrp.ReplayTime, Window: 5 * time.Second}
	for _, id := range keys {
		a.Keys[id] = vrrp.Secret(fmt.Sprintf("key %d of 32 bytes, for tests only", id))
	}
	return a
}

// signingMember believes what is signed.
func signingMember(vrid uint8, auth *vrrp.Auth, peers ...netip.Addr) vrrp.Membership {
	return vrrp.Membership{VRID: vrid, Version: 3, Auth: auth, Peers: peers}
}

// TestSigned sends what is signed between two hosts, in every way, and often: no
// number comes twice.
func TestSigned(t *testing.T) {
	t.Parallel()
	for _, family4 := range []bool{true, false} {
		for _, unicast := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s unicast=%t", family(family4), unicast), func(t *testing.T) {
				t.Parallel()
				one, two := pair(t)
				o := Outgoing{Source: one.addr[family4], Advert: advert(51, family4)}
				believes := signingMember(51, signing(1, 1))
				if unicast {
					o.Peers, believes.Peers = []netip.Addr{two.addr[family4]}, []netip.Addr{one.addr[family4]}
				}
				out, in := one.listen(t, ifname, family4, signingMember(51, signing(1, 1))), two.listen(t, ifname, family4, believes)
				got := run(t, in)
				batch := []Outgoing{o, o, o, o}
				for range 25 {
					must(t, out.Send(batch))
				}
				want := Received{Source: o.Source, Advert: o.Advert, Signed: true}
				for range 100 {
					if diff := cmp.Diff(want, next(t, got), byAddr); diff != "" {
						t.Fatalf("received (-want +got):\n%s", diff)
					}
				}
				if n := in.Counters().Refused; len(n) != 0 {
					t.Errorf("refused %+v", n)
				}
			})
		}
	}
}

// TestAuthRefused: refusals are counted by cause and by VRID, with who was the last.
func TestAuthRefused(t *testing.T) {
	t.Parallel()
	one, two := pair(t)
	out, in := one.listen(t, ifname, true), two.listen(t, ifname, true, signingMember(51, signing(1, 1)), signingMember(marker, signing(1, 1)))
	got := run(t, in)
	batch := []Outgoing{{Source: one.addr[true], Advert: advert(51, true)}, {Source: one.addr[true], Advert: advert(marker, true)}}
	for _, auth := range []*vrrp.Auth{nil, signing(2, 2), signing(2, 2)} {
		out.SetMembers(nil, signingMember(51, auth), signingMember(marker, signing(1, 1)))
		must(t, out.Send(batch))
		if r := next(t, got); r.Advert.VRID != marker {
			t.Errorf("VRID %d is believed", r.Advert.VRID)
		}
	}
	seen := in.Counters()
	if seen.Dropped[vrrp.CauseAuthMissing] != 1 || seen.Dropped[vrrp.CauseAuthKey] != 2 {
		t.Errorf("dropped %v", seen.Dropped)
	}
	last := seen.Refused[51]
	if age := time.Since(last.Time); age < 0 || age > time.Minute {
		t.Errorf("refused at %v", last.Time)
	}
	last.Time = time.Time{}
	if diff := cmp.Diff(Refusals{Count: 3, Source: one.addr[true], Detail: "key id 2 unknown"}, last, byAddr); diff != "" || len(seen.Refused) != 1 {
		t.Errorf("refused %+v (-want +got):\n%s", seen.Refused, diff)
	}
}

// TestMemberThatLeft: what a member that a reload takes away still has to say, its
// release, is signed.
func TestMemberThatLeft(t *testing.T) {
	t.Parallel()
	one, two := pair(t)
	out, in := one.listen(t, ifname, true, signingMember(51, signing(1, 1))), two.listen(t, ifname, true, signingMember(51, signing(1, 1)))
	got := run(t, in)
	out.SetMembers(nil)
	release := advert(51, true)
	release.Priority = vrrp.PriorityRelease
	must(t, out.Send([]Outgoing{{Source: one.addr[true], Advert: release}}))
	if r := next(t, got); !r.Signed || r.Advert.Priority != vrrp.PriorityRelease {
		t.Errorf("received %+v", r)
	}
}

// TestMarksOutliveMembers: a reload does not forget what was heard, so a replay
// after it is one.
func TestMarksOutliveMembers(t *testing.T) {
	t.Parallel()
	one, two := pair(t)
	out, in := one.listen(t, ifname, true, signingMember(51, signing(1, 1))), two.listen(t, ifname, true, signingMember(51, signing(1, 1)))
	got, tap, again := run(t, in), two.wire(t, one), one.wire(t, two)
	must(t, out.Send([]Outgoing{{Source: one.addr[true], Advert: advert(51, true)}}))
	next(t, got)
	frame := tap.hear(t)
	in.SetMembers(nil, signingMember(51, signing(1, 1, 2)))
	again.send(t, frame)
	must(t, out.Send([]Outgoing{{Source: one.addr[true], Advert: advert(51, true)}}))
	next(t, got)
	if n := in.Counters().Dropped[vrrp.CauseAuthReplay]; n != 1 {
		t.Errorf("%d replays counted, want 1", n)
	}
}

// TestKernelChecksum6: a daemon that leaves the checksum to its kernel (RFC 3542,
// Section 3.1), as keepalived does, has one over message and trailer. It believes
// ours, and ours believes its.
func TestKernelChecksum6(t *testing.T) {
	t.Parallel()
	one, two := pair(t)
	c := one.listen(t, ifname, false, signingMember(51, signing(1, 1)))
	got := run(t, c)
	fd := -1
	must(t, two.ns.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, vrrp.Protocol); err != nil {
			return err
		}
		for _, o := range []option{
			{"IPV6_CHECKSUM", unix.IPPROTO_IPV6, unix.IPV6_CHECKSUM, 6},
			{"IPV6_MULTICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255},
			{"IPV6_MULTICAST_IF", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, two.link.Attrs().Index},
		} {
			if err = unix.SetsockoptInt(fd, o.level, o.opt, o.val); err != nil {
				return fmt.Errorf("%s: %w", o.name, err)
			}
		}
		return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP,
			&unix.IPv6Mreq{Multiaddr: vrrp.Group6.As16(), Interface: uint32(two.link.Attrs().Index)})
	}))
	t.Cleanup(func() { must(t, unix.Close(fd)) })
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))

	must(t, c.Send([]Outgoing{{Source: one.addr[false], Advert: advert(51, false)}}))
	b := make([]byte, 100)
	n, err := unix.Read(fd, b)
	if err != nil || n != 8+16+28 {
		t.Fatalf("the kernel of the other host let %d bytes through: %v", n, err)
	}

	a := advert(51, false)
	msg, err := a.AppendTo(nil, two.addr[false], vrrp.Group6, vrrp.ChecksumMessage)
	must(t, err)
	msg = vrrp.NewSigner(*signing(1, 1), nil).Sign(msg, 0, two.addr[false], vrrp.Group6, time.Now())
	msg[6], msg[7] = 0, 0 // the kernel's to fill in
	must(t, unix.Sendto(fd, msg, 0, &unix.SockaddrInet6{Addr: vrrp.Group6.As16(), ZoneId: uint32(two.link.Attrs().Index)}))
	want := Received{Source: two.addr[false], Advert: a, Signed: true}
	if diff := cmp.Diff(want, next(t, got), byAddr); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
}
