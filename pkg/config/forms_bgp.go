package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/check"
)

// secretText names a file that holds a secret.
var secretText = text{what: "an absolute path, or the name of a credential", check: func(s string) error {
	if path.IsAbs(s) {
		return nil
	}
	if strings.Contains(s, "/") {
		return errors.New("is neither an absolute path nor a bare name")
	}
	return checkName(s)
}}

// checkDevice is for an interface, or none.
func checkDevice(s string) error {
	if s == "" {
		return nil
	}
	if err := plain(s); err != nil {
		return err
	}
	return checkInterface(s)
}

// routerID is a BGP Identifier: four bytes that are not all 0, written as an
// IPv4 address; its value is a netip.Addr.
type routerID struct{}

func (routerID) allowed() string { return "an IPv4 address" }

func (k routerID) parse(r *reporter, n *node) (any, bool) {
	s, ok := r.text(n, k.allowed())
	if !ok {
		return nil, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() || a.IsUnspecified() {
		r.wrong(n, n.raw()+" is not an IPv4 address", "an identifier has four bytes; any address of this host will do")
		return nil, false
	}
	return a, true
}

// listenPort is a TCP port, or -1 for none; its value is an int.
type listenPort struct{}

func (listenPort) allowed() string { return "-1, or 1–65535" }

func (k listenPort) parse(r *reporter, n *node) (any, bool) {
	if n.value == int64(-1) {
		return -1, true
	}
	v, ok := integer{1, 65535}.parse(&reporter{}, n)
	if !ok {
		if _, number := n.value.(int64); number {
			r.wrong(n, n.raw()+" is outside "+k.allowed(), "")
		} else {
			r.mismatch(n, "a whole number, "+k.allowed(), "")
		}
	}
	return v, ok
}

// The words of remote_as; "external" is any but our own.
const (
	internalAS = -1
	externalAS = 0
)

// remoteAS is the number of an autonomous system, or a word; its value is an int.
type remoteAS struct{}

func (remoteAS) allowed() string { return `1–4294967294, "internal" or "external"` }

func (k remoteAS) parse(r *reporter, n *node) (any, bool) {
	if s, ok := n.value.(string); ok {
		switch s {
		case "internal":
			return internalAS, true
		case "external":
			return externalAS, true
		}
		hint := `write a number, "internal" or "external"`
		if strings.Contains(s, ".") {
			hint = "write AS numbers of 32 bits as one number"
		}
		r.wrong(n, n.raw()+" is not an AS number", hint)
		return nil, false
	}
	return integer{1, maxNumber - 1}.parse(r, n)
}

// neighborAddress is the address of a neighbor; its value is a netip.Addr, a
// link-local one with a zone.
type neighborAddress struct{}

func (neighborAddress) allowed() string { return "an IP address" }

func (k neighborAddress) parse(r *reporter, n *node) (any, bool) {
	s, ok := r.text(n, k.allowed())
	if !ok {
		return nil, false
	}
	bare, zone, _ := strings.Cut(s, "%")
	a, err := parseAddress(bare)
	hint := ""
	if err == nil {
		err = checkUnicast(a)
	}
	switch {
	case err != nil:
		if strings.Contains(s, "/") {
			hint = "no prefix length here"
		}
	case a.Is6() && a.IsLinkLocalUnicast() && zone == "":
		err, hint = errors.New("is link-local and needs an interface"), fmt.Sprintf(`write it as "%s%%eth0", or use `+"`interface`", a)
	case zone != "" && !a.IsLinkLocalUnicast():
		err = errors.New("is not link-local and has no interface")
	case zone != "" && checkInterface(zone) != nil:
		err = fmt.Errorf("has an interface that %w", checkInterface(zone))
	}
	if err != nil {
		r.wrong(n, fmt.Sprintf("%s %v", n.raw(), err), hint)
		return nil, false
	}
	return a.WithZone(zone), true
}

// announcedPrefix is a prefix to announce, without a length a host route; its
// value is a netip.Prefix.
type announcedPrefix struct{}

func (announcedPrefix) allowed() string { return "an IP address, or a network" }

func (k announcedPrefix) parse(r *reporter, n *node) (any, bool) {
	s, ok := r.text(n, k.allowed())
	if !ok {
		return nil, false
	}
	p, err := netip.ParsePrefix(s)
	if !strings.Contains(s, "/") {
		var a netip.Addr
		a, err = parseAddress(s)
		p = netip.PrefixFrom(a, a.BitLen())
	}
	hint := ""
	if err != nil {
		err = errors.New("is neither an address nor a network")
	} else if err = checkUnicast(p.Addr()); p.Bits() == 0 {
		err = errors.New("is the default route: vipd never announces it")
	}
	switch {
	case err != nil:
	case p.Addr().Is4In6():
		err = errors.New("is IPv4 within IPv6")
	case p.Addr().IsLinkLocalUnicast():
		err = errors.New("is link-local: no router forwards to it")
	case p.Masked() != p:
		err, hint = errors.New("has bits set beyond its length"), fmt.Sprintf("the network is %q, the address alone %q", p.Masked(), p.Addr())
	}
	if err != nil {
		r.wrong(n, fmt.Sprintf("%s %v", n.raw(), err), hint)
		return nil, false
	}
	return p, true
}

// community is a community; its value is a bgp.Community.
type community struct{}

func (community) allowed() string {
	return `two numbers of 0–65535 as in "65101:53", "no-export", "no-advertise" or "graceful-shutdown"`
}

func (k community) parse(r *reporter, n *node) (any, bool) {
	s, ok := r.text(n, "a community")
	if !ok {
		return nil, false
	}
	c, err := bgp.ParseCommunity(s)
	if err != nil {
		hint := "write it as two numbers, \"65101:53\", or as \"no-export\", \"no-advertise\" or \"graceful-shutdown\""
		if _, large := bgp.ParseLargeCommunity(s); large == nil {
			hint = "three numbers belong in `large_communities`"
		}
		r.wrong(n, fmt.Sprintf("%s %v", n.raw(), err), hint)
	}
	return c, err == nil
}

// largeCommunity is a large community; its value is a bgp.LargeCommunity.
type largeCommunity struct{}

func (largeCommunity) allowed() string { return `three numbers of 0–4294967295 as in "65101:53:1"` }

func (k largeCommunity) parse(r *reporter, n *node) (any, bool) {
	s, ok := r.text(n, "a large community")
	if !ok {
		return nil, false
	}
	c, err := bgp.ParseLargeCommunity(s)
	if err != nil {
		r.wrong(n, fmt.Sprintf("%s %v", n.raw(), err), "")
	}
	return c, err == nil
}

// medTracking is a list of names of checks, or a table of names and what a
// failure does to the route; its value is a []tracked. What is added to the MED
// is the same as what is taken off a priority.
type medTracking struct{}

func (medTracking) allowed() string {
	return `a list of names, or a table of names and "withdraw" or 1–4294967295`
}

func (medTracking) parse(r *reporter, n *node) (any, bool) {
	return parseTracked(r, n, nameText, medWeight{})
}

// medWeight is what a failing check does to a route; its value is a check.Weight.
type medWeight struct{}

func (medWeight) allowed() string { return `"withdraw", or 1–4294967295` }

func (k medWeight) parse(r *reporter, n *node) (any, bool) {
	const hint = `"withdraw" takes the route away while the check fails; a number is added to its MED`
	switch v := n.value.(type) {
	case string:
		if v == "withdraw" {
			return check.Weight{Fault: true}, true
		}
		r.wrong(n, n.raw()+` is not "withdraw" or a number`, hint)
	case int64:
		if v < 1 || v > maxNumber {
			r.wrong(n, fmt.Sprintf("%d is outside 1–%d", v, int64(maxNumber)), hint)
			return nil, false
		}
		return check.Weight{Delta: -int(v)}, true
	default:
		r.mismatch(n, k.allowed(), hint)
	}
	return nil, false
}
