package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Bounds of pair.interval.
const (
	minPairInterval = 30 * time.Millisecond
	maxPairInterval = time.Second
)

// pairInterval is a duration or "auto"; its value is a time.Duration, 0 for auto.
type pairInterval struct{}

func (pairInterval) allowed() string {
	return `"auto", or ` + duration{minPairInterval, maxPairInterval, false}.allowed()
}

func (k pairInterval) parse(r *reporter, n *node) (any, bool) {
	if n.value == "auto" {
		return time.Duration(0), true
	}
	return duration{minPairInterval, maxPairInterval, false}.parse(r, n)
}

// peerAddress is the address of another host, with or without a port; its value
// is a netip.AddrPort, with port 0 when none is given.
type peerAddress struct{}

func (peerAddress) allowed() string { return "an IP address, or one with a port" }

func (k peerAddress) parse(r *reporter, n *node) (any, bool) {
	s, ok := r.text(n, k.allowed())
	if !ok {
		return nil, false
	}
	a, err := parsePeerAddress(s)
	if err != nil {
		hint := ""
		if strings.Contains(s, "/") {
			hint = "no prefix length here"
		}
		r.wrong(n, fmt.Sprintf("%s %v", n.raw(), err), hint)
		return nil, false
	}
	return a, true
}

func parsePeerAddress(s string) (netip.AddrPort, error) {
	host, port := s, ""
	if _, err := netip.ParseAddr(s); err != nil {
		var split error
		if host, port, split = splitHostPort(s); split != nil {
			return netip.AddrPort{}, errors.New("is neither an IP address nor one with a port")
		}
		if err := checkPort(port); err != nil {
			return netip.AddrPort{}, err
		}
	}
	host, _, _ = strings.Cut(host, "%")
	a, err := parseAddress(host)
	if err == nil {
		err = checkUnicast(a)
	}
	switch {
	case err != nil:
		return netip.AddrPort{}, err
	case a.IsLinkLocalUnicast():
		return netip.AddrPort{}, errors.New("is link-local: use an address that needs no interface")
	}
	number, _ := strconv.ParseUint(port, 10, 16) // checked above, or none
	return netip.AddrPortFrom(a, uint16(number)), nil
}
