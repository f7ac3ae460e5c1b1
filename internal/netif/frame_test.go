package netif

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/mdlayher/ndp"
)

func unhex(rows ...string) []byte {
	return must(hex.DecodeString(strings.ReplaceAll(strings.Join(rows, ""), " ", "")))
}

// Test A1 of the conformance list.
func TestARPRequestBytes(t *testing.T) {
	t.Parallel()
	padding := strings.Repeat("00", 18)
	cases := []struct {
		name   string
		target neighbourAt
		want   []byte
	}{
		{"announcement", neighbourAt{}, unhex(
			"ffffffffffff", "020000000001", "0806", // ethernet
			"0001", "0800", "06", "04", "0001", // request
			"020000000001", "c000020a", // sender
			"000000000000", "c000020a", // target
			padding)},
		{"to a gateway", neighbourAt{netip.MustParseAddr("192.0.2.1"), mac("02:00:00:00:00:fe")}, unhex(
			"0200000000fe", "020000000001", "0806",
			"0001", "0800", "06", "04", "0001",
			"020000000001", "c000020a",
			"000000000000", "c0000201",
			padding)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := arpRequest(mac("02:00:00:00:00:01"), netip.MustParseAddr("192.0.2.10"), c.target)
			check(t, err)
			if !bytes.Equal(got, c.want) {
				t.Errorf("got  %x\nwant %x", got, c.want)
			}
		})
	}
}

// Test A10 of the conformance list.
func TestUnsolicitedNABytes(t *testing.T) {
	t.Parallel()
	source, vip := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("2001:db8::10")
	for _, router := range []bool{false, true} {
		flags, checksum := "20", "2854"
		if router {
			flags, checksum = "a0", "a853"
		}
		want := unhex(
			"333300000001", "020000000001", "86dd", // ethernet
			"60000000", "0020", "3a", "ff", // ipv6: 32 bytes of ICMPv6, hop limit 255
			"fe800000000000000000000000000001",
			"ff020000000000000000000000000001",
			"88", "00", checksum, flags+"000000", // neighbour advertisement
			"20010db8000000000000000000000010",
			"02", "01", "020000000001") // target link-layer address
		got, err := unsolicitedNA(mac("02:00:00:00:00:01"), source, vip, router)
		check(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("router=%v: got\n%x, want\n%x", router, got, want)
		}
		m, err := ndp.ParseMessage(got[14+ipv6Header:])
		check(t, err)
		na, ok := m.(*ndp.NeighborAdvertisement)
		if !ok || na.Solicited || !na.Override || na.Router != router || na.TargetAddress != vip {
			t.Errorf("router=%v: parsed as %+v", router, m)
		}
		if sum := checksum6(got[14:]); sum != 0 {
			t.Errorf("router=%v: checksum is wrong by %04x", router, sum)
		}
	}
}

// checksum6 verifies an upper-layer checksum (RFC 8200, Section 8.1): 0 is right.
func checksum6(packet []byte) uint16 {
	pseudo := append(bytes.Clone(packet[8:40]), 0, 0, packet[4], packet[5], 0, 0, 0, packet[6])
	var sum uint32
	for b := append(pseudo, packet[40:]...); len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum) // folded to 16 bits
}
