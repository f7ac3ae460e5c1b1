package probe

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// explain puts an error of the socket into words: what a router said, and which
// one, or what our own kernel knows.
func (e *echo) explain(err error) string {
	raw, rawErr := e.conn.SyscallConn()
	if rawErr != nil {
		return cause(err)
	}
	why := cause(err)
	_ = raw.Control(func(fd uintptr) { // fails only on a closed socket
		oob := make([]byte, 512)
		_, n, _, _, err := unix.Recvmsg(int(fd), make([]byte, 1500), oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			return // it came from our own kernel
		}
		if messages, err := unix.ParseSocketControlMessage(oob[:n]); err == nil {
			for _, m := range messages {
				if text, ok := unreachable(m); ok {
					why = text
				}
			}
		}
	})
	return why
}

// reasons are codes of destination unreachable, RFC 792 and RFC 1812, Section
// 5.2.7.1.
var reasons = map[uint8]string{
	0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
	4: "packet too big", 6: "network unknown", 7: "host unknown",
	9: "network prohibited", 10: "host prohibited", 13: "prohibited",
}

// reasons6 are those of RFC 4443, Section 3.1.
var reasons6 = map[uint8]string{
	0: "no route", 1: "prohibited", 2: "beyond the scope of the source", 3: "host unreachable",
	4: "port unreachable", 5: "source prohibited", 6: "route rejected",
}

// unreachable reads a struct sock_extended_err (linux/errqueue.h) and the address
// of who reported it.
//
//	errno(4) origin(1) type(1) code(1) pad(1) info(4) data(4) sockaddr
//	  sockaddr_in:  family(2) port(2) address(4)
//	  sockaddr_in6: family(2) port(2) flow(4) address(16) scope(4)
func unreachable(m unix.SocketControlMessage) (string, bool) {
	const head = 16
	v4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
	v6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
	if !v4 && !v6 || len(m.Data) < head+8 {
		return "", false
	}
	errno := unix.Errno(binary.NativeEndian.Uint32(m.Data))
	origin, kind, code := m.Data[4], m.Data[5], m.Data[6]
	why, by := errno.Error(), netip.Addr{}
	switch {
	case origin == unix.SO_EE_ORIGIN_ICMP:
		by, _ = netip.AddrFromSlice(m.Data[head+4 : head+8])
		if word := reasons[code]; kind == 3 && word != "" {
			why = word
		} else if kind == 11 {
			why = "time to live exceeded"
		}
	case origin == unix.SO_EE_ORIGIN_ICMP6 && len(m.Data) >= head+24:
		by, _ = netip.AddrFromSlice(m.Data[head+8 : head+24])
		if word := reasons6[code]; kind == 1 && word != "" {
			why = word
		} else if kind == 3 {
			why = "hop limit exceeded"
		}
	}
	if by.IsValid() && !by.IsUnspecified() {
		return fmt.Sprintf("%s, says %s", why, by), true
	}
	return why, true
}
