package keepalived

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// number reads the first argument as a whole number within a range. Outside of
// it there is none, which is noted.
func (c *converter) number(s *statement, least, most int) (int, bool) {
	n, err := strconv.Atoi(s.word(1))
	if err != nil || n < least || n > most {
		c.note(s, Refused, "%q is not a number from %d to %d", s.word(1), least, most)
		return 0, false
	}
	return n, true
}

// seconds reads the first argument as a time in seconds, moved into a range.
func (c *converter) seconds(s *statement, least, most time.Duration) (time.Duration, bool) {
	d, ok := seconds(s.word(1))
	if !ok {
		c.note(s, Refused, "%q is not a time in seconds", s.word(1))
		return 0, false
	}
	if in := min(max(d, least), most); in != d {
		c.note(s, Changed, "vipd takes %s to %s here: %s", span(least), span(most), span(in))
		return in, true
	}
	return d, true
}

// seconds reads a time such as 1 or 0.25.
func seconds(text string) (time.Duration, bool) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < 0 || f > 1e6 {
		return 0, false
	}
	return time.Duration(f*1e6+0.5) * time.Microsecond, true
}

// span writes a duration as one would type it: 1m instead of 1m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return strings.Replace(s, "µ", "u", 1)
}

// prefix reads an address with or without its length.
func prefix(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p, p.Addr().Zone() == ""
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

// hosted reports whether a host can have an address, with that length, to itself.
func hosted(p netip.Prefix) bool {
	a := p.Addr()
	switch {
	case a.IsUnspecified(), a.IsMulticast(), a.IsLoopback(), a.Is4In6(), p.Bits() == 0, a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return false
	}
	return p.Bits() >= a.BitLen()-1 || p.Masked().Addr() != a
}

// address writes a prefix, without a length if it is one address.
func address(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// label makes a name of vipd out of one of keepalived: letters, digits, . _ -.
// What it may not hold becomes a -.
func label(text string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._-", r):
			return r
		}
		return '-'
	}, text)
	return s[:min(len(s), maxName)]
}

// maxName is the longest name that vipd takes.
const maxName = 64

// unique returns a name that is not taken.
func unique(name string, taken func(string) bool) string {
	if !taken(name) {
		return name
	}
	for i := 2; ; i++ {
		if n := name + "-" + strconv.Itoa(i); !taken(n) {
			return n
		}
	}
}
