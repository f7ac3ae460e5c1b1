package testenv_test

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/testenv"
)

// frameTests are laid out one field or group of fields a row; checksums were
// worked out by hand.
var frameTests = []struct {
	name  string
	bytes string
	want  testenv.Frame
}{{
	name: "gratuitous ARP request",
	bytes: `ffffffffffff 020000000001 0806
		0001 0800 06 04 0001
		020000000001 c0000264 000000000000 c0000264`,
	want: testenv.Frame{ARP: &testenv.ARP{
		SenderMAC: mac("02:00:00:00:00:01"), Sender: addr("192.0.2.100"),
		TargetMAC: mac("00:00:00:00:00:00"), Target: addr("192.0.2.100"),
	}},
}, {
	name: "ARP reply",
	bytes: `020000000002 020000000001 0806
		0001 0800 06 04 0002
		020000000001 c0000264 020000000002 c000020a`,
	want: testenv.Frame{ARP: &testenv.ARP{
		Reply:     true,
		SenderMAC: mac("02:00:00:00:00:01"), Sender: addr("192.0.2.100"),
		TargetMAC: mac("02:00:00:00:00:02"), Target: addr("192.0.2.10"),
	}},
}, {
	name: "unsolicited neighbor advertisement",
	bytes: `333300000001 020000000001 86dd
		60000000 0020 3a ff
		20010db8000000000000000000000064 ff020000000000000000000000000001
		88 00 0000 20000000
		20010db8000000000000000000000064
		02 01 020000000001`,
	want: testenv.Frame{ND: &testenv.ND{
		Advertisement: true, Override: true,
		Source: addr("2001:db8::64"), Destination: addr("ff02::1"), Target: addr("2001:db8::64"),
		LinkAddress: mac("02:00:00:00:00:01"),
	}},
}, {
	name: "neighbor solicitation without option",
	bytes: `3333ff000064 020000000001 86dd
		60000000 0018 3a ff
		00000000000000000000000000000000 ff0200000000000000000001ff000064
		87 00 0000 00000000
		20010db8000000000000000000000064`,
	want: testenv.Frame{ND: &testenv.ND{
		Source: addr("::"), Destination: addr("ff02::1:ff00:64"), Target: addr("2001:db8::64"),
	}},
}, {
	name: "VRRPv3, checksum over the message",
	bytes: `01005e000012 020000000001 0800
		45 c0 0020 0000 0000 ff 70 0000 c0000201 e0000012
		31 33 96 01 000a 765c
		c0000264`,
	want: testenv.Frame{VRRP: &testenv.VRRP{
		Version: 3, Type: 1, VRID: 51, Priority: 150, Interval: 100 * time.Millisecond, HopLimit: 255,
		Source: addr("192.0.2.1"), Destination: addr("224.0.0.18"), Addresses: []netip.Addr{addr("192.0.2.100")},
		Checksum: testenv.ChecksumMessage,
	}},
}, {
	name: "VRRPv3, checksum over a pseudo-header",
	bytes: `01005e000012 020000000001 0800
		45 c0 0020 0000 0000 ff 70 0000 c0000201 e0000012
		31 33 96 01 000a d3cb
		c0000264`,
	want: testenv.Frame{VRRP: &testenv.VRRP{
		Version: 3, Type: 1, VRID: 51, Priority: 150, Interval: 100 * time.Millisecond, HopLimit: 255,
		Source: addr("192.0.2.1"), Destination: addr("224.0.0.18"), Addresses: []netip.Addr{addr("192.0.2.100")},
		Checksum: testenv.ChecksumPseudoHeader,
	}},
}, {
	name: "VRRPv2 with authentication data, bad checksum, padded frame",
	bytes: `01005e000012 020000000001 0800
		45 c0 0028 0000 0000 40 70 0000 c0000201 e0000012
		21 33 00 01 00 01 0000
		c0000264
		0000000000000000
		000000000000`,
	want: testenv.Frame{VRRP: &testenv.VRRP{
		Version: 2, Type: 1, VRID: 51, Interval: time.Second, HopLimit: 64,
		Source: addr("192.0.2.1"), Destination: addr("224.0.0.18"), Addresses: []netip.Addr{addr("192.0.2.100")},
		Checksum: testenv.ChecksumBad,
	}},
}, {
	name:  "UDP",
	bytes: `020000000002 020000000001 0800 45 00 001c 0000 0000 40 11 0000 c0000201 c0000202 1b58 1b58 0008 0000`,
}, {
	name: "ARP of another medium",
	bytes: `ffffffffffff 020000000001 0806
		0006 0800 06 04 0001
		020000000001 c0000264 000000000000 c0000264`,
}}

func TestParseFrame(t *testing.T) {
	t.Parallel()
	for _, tt := range frameTests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := hex.DecodeString(strings.Join(strings.Fields(tt.bytes), ""))
			ok(t, err)
			got := testenv.ParseFrame(b)
			opts := []cmp.Option{
				cmpopts.EquateComparable(netip.Addr{}),
				cmpopts.IgnoreFields(testenv.Frame{}, "Source", "Destination", "Data"),
			}
			if diff := cmp.Diff(tt.want, got, opts...); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
			if got.Source.String() != "02:00:00:00:00:01" {
				t.Errorf("source: %v", got.Source)
			}
			for n := range b { // a frame that ends early is decoded as far as it goes
				testenv.ParseFrame(b[:n])
			}
		})
	}
	if a := frameTests[0].want.ARP; !a.Gratuitous() || frameTests[1].want.ARP.Gratuitous() {
		t.Error("gratuitous is told wrong")
	}
	if n := frameTests[2].want.ND; !n.Unsolicited() || frameTests[3].want.ND.Unsolicited() {
		t.Error("unsolicited is told wrong")
	}
}

func TestPacketMarshal(t *testing.T) {
	t.Parallel()
	for _, p := range []testenv.Packet{
		{Source: addr("192.0.2.1"), Destination: addr("224.0.0.18")},
		{Source: addr("fe80::1"), Destination: addr("ff02::12")},
	} {
		p.SourceMAC, p.DestinationMAC = mac("02:00:00:00:00:01"), mac("02:00:00:00:00:02")
		p.Protocol, p.HopLimit, p.Payload = 112, 7, []byte{0x31, 9, 8, 0, 0, 10, 0, 0}
		f := testenv.ParseFrame(p.Marshal())
		if f.VRRP == nil || f.VRRP.Source != p.Source || f.VRRP.Destination != p.Destination || f.VRRP.HopLimit != 7 || f.VRRP.VRID != 9 {
			t.Errorf("%v comes back as %+v", p.Source, f.VRRP)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	for _, tt := range frameTests {
		b, _ := hex.DecodeString(strings.Join(strings.Fields(tt.bytes), ""))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := testenv.ParseFrame(b)
		n := 0
		for _, set := range []bool{got.ARP != nil, got.ND != nil, got.VRRP != nil} {
			if set {
				n++
			}
		}
		if n > 1 {
			t.Errorf("%d protocols in one frame", n)
		}
	})
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func mac(s string) net.HardwareAddr {
	m, err := net.ParseMAC(s)
	if err != nil {
		panic(err) // a constant of this file
	}
	return m
}
