package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"unicode"
)

// plain is what every string must be: not empty, on one line, printable.
func plain(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("holds the control character %U", r)
		}
	}
	return nil
}

// noNUL is what an argument of a program must be.
func noNUL(s string) error {
	if strings.ContainsRune(s, 0) {
		return errors.New("holds a NUL byte")
	}
	return nil
}

// checkName is for what the operator names: VIPs, checks, groups, the host.
func checkName(s string) error {
	if len(s) > 64 {
		return errors.New("is longer than 64 characters")
	}
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._-", r)) {
			return errors.New("is not a name: letters, digits, and then also . _ -")
		}
	}
	return plain(s)
}

// checkInterface is the kernel's rule for names of interfaces.
func checkInterface(s string) error {
	switch {
	case len(s) > 15:
		return errors.New("is longer than the 15 characters of an interface name")
	case s == "." || s == ".." || strings.ContainsAny(s, "/: \t"):
		return errors.New("is not an interface name")
	}
	return nil
}

func checkPath(s string) error {
	if !path.IsAbs(s) {
		return errors.New("is not an absolute path")
	}
	return nil
}

// maxSocketPath is what fits into a sockaddr_un beside its closing NUL.
const maxSocketPath = 107

func checkSocket(s string) error {
	if len(s) > maxSocketPath {
		return fmt.Errorf("is longer than the %d bytes of a socket's path", maxSocketPath)
	}
	return checkPath(s)
}

// checkUser is for users and groups, by name or number.
func checkUser(s string) error {
	if len(s) > 32 || strings.ContainsAny(s, ": /\t") || s[0] == '-' {
		return errors.New("is not the name of a user or group")
	}
	return nil
}

// checkListen is for addresses to listen on: IP:port, or :port for all.
func checkListen(s string) error {
	host, port, err := splitHostPort(s)
	if err != nil {
		return err
	}
	if host != "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return errors.New("must name an IP address, or none for all: \"127.0.0.1:9650\"")
		}
	}
	return checkPort(port)
}

// checkTarget is for addresses to connect to: host:port, :port for this host, or
// unix:/path for a socket.
func checkTarget(s string) error {
	if socket, ok := strings.CutPrefix(s, socketPrefix); ok {
		return checkSocket(socket)
	}
	host, port, err := splitHostPort(s)
	if err != nil {
		return err
	}
	if strings.ContainsAny(host, " /") {
		return errors.New("names no host")
	}
	return checkPort(port)
}

func splitHostPort(s string) (host, port string, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", errors.New("has no port: write host:port")
	}
	host, port = s[:i], s[i+1:]
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if !ok {
			return "", "", errors.New("lacks a closing bracket")
		}
		return inner, port, nil
	}
	if strings.Contains(host, ":") {
		return "", "", errors.New("is ambiguous: write an IPv6 address in brackets, [2001:db8::1]:443")
	}
	return host, port, nil
}

func checkPort(s string) error {
	if n, err := strconv.ParseUint(s, 10, 16); err != nil || n == 0 {
		return errors.New("has a port outside 1–65535")
	}
	return nil
}

// address is an IP address; its value is a netip.Addr.
type address struct {
	loopback bool // may be one
}

func (address) allowed() string { return "an IP address" }

func (k address) parse(r *reporter, n *node) (any, bool) {
	s, ok := r.text(n, k.allowed())
	if !ok {
		return nil, false
	}
	a, err := parseAddress(s)
	if own := k.loopback && a.IsLoopback(); err == nil && !own {
		err = checkUnicast(a)
	}
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

// hostAddress is an address with the length of its subnet; its value is a
// netip.Prefix that keeps the host's bits.
type hostAddress struct{}

func (hostAddress) allowed() string { return "an IP address, or one with a prefix length" }

func (k hostAddress) parse(r *reporter, n *node) (any, bool) {
	s, ok := r.text(n, k.allowed())
	if !ok {
		return nil, false
	}
	p, err := parseHostAddress(s)
	if err != nil {
		r.wrong(n, fmt.Sprintf("%s %v", n.raw(), err), "")
		return nil, false
	}
	return p, true
}

func parseHostAddress(s string) (netip.Prefix, error) {
	text, bits, hasBits := strings.Cut(s, "/")
	a, err := parseAddress(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if err := checkUnicast(a); err != nil {
		return netip.Prefix{}, err
	}
	length := a.BitLen()
	if hasBits {
		length, err = strconv.Atoi(bits)
		if err != nil || length < 1 || length > a.BitLen() || strings.HasPrefix(bits, "+") {
			return netip.Prefix{}, fmt.Errorf("has a prefix length outside 1–%d", a.BitLen())
		}
	}
	p := netip.PrefixFrom(a, length)
	if a.BitLen()-length < 2 { // RFC 3021, RFC 6164: two hosts, no network address
		return p, nil
	}
	if p.Masked().Addr() == a {
		return p, fmt.Errorf("is the address of the network itself, not of a host in it")
	}
	if a.Is4() && isBroadcast(p) {
		return p, errors.New("is the broadcast address of its network")
	}
	return p, nil
}

// isBroadcast reports whether all host bits of an IPv4 prefix are ones.
func isBroadcast(p netip.Prefix) bool {
	b := p.Addr().As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	host := uint32(1)<<(32-p.Bits()) - 1
	return v&host == host
}

// parseAddress is netip.ParseAddr without zones and IPv4 in IPv6.
func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return a, errors.New("is not an IP address")
	case a.Zone() != "":
		return a, errors.New("has a zone: the interface is a key of its own")
	case a.Is4In6():
		return a, fmt.Errorf("is IPv4 within IPv6: write %s", a.Unmap())
	}
	return a, nil
}

// checkUnicast refuses what no host in a network can have.
func checkUnicast(a netip.Addr) error {
	switch {
	case a.IsUnspecified():
		return errors.New("is the unspecified address")
	case a.IsLoopback():
		return errors.New("is a loopback address")
	case a.IsMulticast():
		return errors.New("is a multicast address")
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return errors.New("is the broadcast address")
	}
	return nil
}

// network is a prefix without host bits; its value is a netip.Prefix.
type network struct{}

func (network) allowed() string { return "a network, address/length" }

func (k network) parse(r *reporter, n *node) (any, bool) {
	s, ok := r.text(n, k.allowed())
	if !ok {
		return nil, false
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case s == "default":
		r.wrong(n, `"default" has no family`, `write "0.0.0.0/0" or "::/0"`)
	case err != nil:
		r.wrong(n, n.raw()+" is not a network", `write address/length: "10.9.0.0/16"`)
	case p.Masked() != p:
		r.wrong(n, n.raw()+" has bits set beyond its length", fmt.Sprintf("the network is %q", p.Masked()))
	case p.Addr().IsMulticast() || p.Addr().Is4In6():
		r.wrong(n, n.raw()+" is not a unicast network", "")
	default:
		return p, true
	}
	return nil, false
}
