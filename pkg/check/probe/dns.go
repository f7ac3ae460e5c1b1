package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/program"
	"github.com/vipd/vipd/pkg/check"
)

// DNS asks a name server one question, with recursion desired and without
// extensions, as the oldest of clients do: over UDP, and over TCP when the
// answer was truncated. What does not answer this very question is ignored until
// ctx ends, and the detail then says what it was.
func DNS(ctx context.Context, d check.DNS, _ Settings) Result {
	q, err := newQuestion(d, limit(ctx))
	if err != nil {
		return Result{Detail: err.Error()}
	}
	var answer *dns.Msg
	if !d.TCP {
		answer, err = q.overUDP(ctx)
	}
	if err == nil && answer == nil {
		answer, err = q.overTCP(ctx)
	}
	if err != nil {
		return Result{Detail: err.Error()}
	}
	return judge(answer, d, q.record)
}

// question is one query on its way.
type question struct {
	server, source netip.AddrPort // the source's port is 0
	within         time.Duration
	query          *dns.Msg
	packed         []byte
	record         uint16
	truncated      bool // over UDP
	ignored        ignored
}

func newQuestion(d check.DNS, within time.Duration) (*question, error) {
	server, err := netip.ParseAddrPort(d.Server)
	if err != nil {
		return nil, fmt.Errorf("server %s is not an IP address and a port", d.Server)
	}
	source := netip.IPv4Unspecified()
	if server.Addr().Is6() {
		source = netip.IPv6Unspecified()
	}
	if d.Source != "" {
		if source, err = netip.ParseAddr(d.Source); err != nil || source.Is4() != server.Addr().Is4() {
			return nil, fmt.Errorf("source %s is not an address to reach %s from", d.Source, d.Server)
		}
	}
	record, ok := dns.StringToType[d.Record]
	if !ok {
		return nil, fmt.Errorf("%s is not a type of record", d.Record)
	}
	query := new(dns.Msg).SetQuestion(dns.Fqdn(d.Name), record) // with an id that nobody can guess
	packed, err := query.Pack()
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", d.Name, err)
	}
	return &question{
		server: server, source: netip.AddrPortFrom(source, 0),
		within: within, query: query, packed: packed, record: record,
	}, nil
}

// network is the word for the family of the server.
func (q *question) network(name string) string {
	if q.server.Addr().Is4() {
		return name + "4"
	}
	return name + "6"
}

// overUDP returns the answer, or nil if it was truncated.
func (q *question) overUDP(ctx context.Context) (*dns.Msg, error) {
	// Not connected: an answer from another address of the server, which clients
	// do not accept, would be invisible. What the network says instead of the
	// server arrives all the same.
	listen := net.ListenConfig{Control: reportErrors}
	conn, err := listen.ListenPacket(ctx, q.network("udp"), q.source.String())
	if err != nil {
		return nil, q.failed(err)
	}
	defer bind(ctx, conn)()
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return nil, q.failed(errors.ErrUnsupported)
	}
	if _, err := udp.WriteToUDPAddrPort(q.packed, q.server); err != nil {
		return nil, q.failed(err)
	}
	buf := make([]byte, 4096) // without extensions, answers over UDP have 512 at most
	for {
		n, from, err := udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return nil, q.failed(err)
		}
		if from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port()); from != q.server {
			q.ignored.note("from another address, " + from.String())
			continue
		}
		if answer := q.parse(buf[:n]); answer != nil {
			if answer.Truncated {
				q.truncated = true
				return nil, nil
			}
			return answer, nil
		}
	}
}

// overTCP returns the answer.
func (q *question) overTCP(ctx context.Context) (*dns.Msg, error) {
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(q.source), KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, q.network("tcp"), q.server.String())
	if err != nil {
		return nil, q.failed(err)
	}
	defer bind(ctx, conn)()
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(q.packed))) // RFC 1035, Section 4.2.2
	if _, err := conn.Write(append(framed, q.packed...)); err != nil {
		return nil, q.failed(err)
	}
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return nil, q.failed(err)
		}
		text := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, text); err != nil {
			return nil, q.failed(err)
		}
		if answer := q.parse(text); answer != nil {
			return answer, nil
		}
	}
}

// parse returns the answer to our question, or nil after it noted what else a
// message is. One that was truncated may lack anything but its header.
func (q *question) parse(text []byte) *dns.Msg {
	m := new(dns.Msg)
	err := m.Unpack(text)
	switch {
	case len(text) < 12 || err != nil && !m.Truncated:
		q.ignored.note("garbage")
	case m.Id != q.query.Id:
		q.ignored.note("with another id")
	case !m.Response || m.Opcode != dns.OpcodeQuery:
		q.ignored.note("not an answer")
	case err == nil && !q.asked(m):
		q.ignored.note("to another question")
	default:
		return m
	}
	return nil
}

// asked reports whether m repeats our question. One that reports an error may
// leave it away.
func (q *question) asked(m *dns.Msg) bool {
	if len(m.Question) == 0 {
		return m.Rcode != dns.RcodeSuccess
	}
	ours, theirs := q.query.Question[0], m.Question[0]
	return len(m.Question) == 1 && ours.Qtype == theirs.Qtype && ours.Qclass == theirs.Qclass && strings.EqualFold(ours.Name, theirs.Name)
}

// failed puts the end of waiting into words.
func (q *question) failed(err error) error {
	why := explain(err, q.within)
	if q.truncated {
		why = "the answer was truncated; over TCP: " + why
	}
	return fmt.Errorf("ask %s: %s%s", q.server, why, &q.ignored)
}

// ignored counts what came and was not for us.
type ignored struct {
	total int
	kinds []string
}

const (
	maxKinds   = 4   // that are told apart
	maxAnswers = 512 // bytes of a detail
)

func (i *ignored) note(what string) {
	i.total++
	if len(i.kinds) < maxKinds && !slices.Contains(i.kinds, what) {
		i.kinds = append(i.kinds, what)
	}
}

func (i *ignored) String() string {
	if i.total == 0 {
		return ""
	}
	return fmt.Sprintf("; ignored %d: %s", i.total, strings.Join(i.kinds, ", "))
}

// judge compares the answer with what is expected.
func judge(answer *dns.Msg, d check.DNS, record uint16) Result {
	rcode, ok := dns.RcodeToString[answer.Rcode]
	if !ok {
		rcode = fmt.Sprintf("code %d", answer.Rcode)
	}
	var found []string
	for _, rr := range answer.Answer {
		if kind := rr.Header().Rrtype; kind == record || record == dns.TypeANY {
			found = append(found, value(rr))
		}
	}
	detail := fmt.Sprintf("%s, %d %s", rcode, len(found), d.Record)
	switch {
	case rcode != d.Rcode:
		return Result{Detail: fmt.Sprintf("%s, not %s", rcode, d.Rcode)}
	case len(found) < d.MinAnswers:
		return Result{Detail: fmt.Sprintf("%s, fewer than %d", detail, d.MinAnswers)}
	case d.Answer != "" && !slices.ContainsFunc(found, func(s string) bool { return sameValue(s, d.Answer) }):
		all := program.Printable([]byte(strings.Join(found, ", ")))
		if len(all) > maxAnswers {
			all = strings.ToValidUTF8(all[:maxAnswers], "") + "…"
		}
		return Result{Detail: strings.TrimSuffix(fmt.Sprintf("%s, %s not among them: %s", detail, d.Answer, all), ": ")}
	}
	return Result{OK: true, Detail: detail}
}

// value is what a record says, as in a zone file; text is without quotes.
func value(rr dns.RR) string {
	if text, ok := rr.(*dns.TXT); ok {
		return strings.Join(text.Txt, "")
	}
	return strings.TrimPrefix(rr.String(), rr.Header().String())
}

// sameValue compares values of records: as addresses, or as words whose case and
// last dot do not matter.
func sameValue(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX == nil && errY == nil {
		return x == y
	}
	return slices.EqualFunc(strings.Fields(a), strings.Fields(b), func(a, b string) bool {
		return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
	})
}

// reportErrors makes a socket tell what the network says about its packets, also
// when it is not connected.
func reportErrors(network, _ string, c syscall.RawConn) error {
	level, option := unix.IPPROTO_IP, unix.IP_RECVERR
	if strings.HasSuffix(network, "6") {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	var err error
	if refused := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) }); refused != nil {
		return refused
	}
	return os.NewSyscallError("setsockopt", err)
}
