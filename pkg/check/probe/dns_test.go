package probe

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/testenv"
)

// nameServer answers on 127.0.0.1, over UDP and TCP on one port: with what udp
// and tcp make of a query, each a packet. What has no answer function is closed.
func nameServer(t *testing.T, udp, tcp func(query *dns.Msg) [][]byte) (address string) {
	t.Helper()
	pc, hold := portPair(t)
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return // the test is over
			}
			query := new(dns.Msg)
			if err := query.Unpack(buf[:n]); err != nil {
				continue
			}
			for _, packet := range udp(query) {
				_, _ = pc.WriteTo(packet, from)
			}
		}
	}()
	if tcp != nil {
		if err := unix.Listen(int(hold.Fd()), 16); err != nil {
			t.Fatal(err)
		}
		l, err := net.FileListener(hold)
		if err != nil {
			t.Fatal(err)
		}
		accept(t, l, func(c net.Conn) {
			defer func() { _ = c.Close() }()
			conn := dns.Conn{Conn: c}
			query, err := conn.ReadMsg()
			if err != nil {
				return
			}
			for _, packet := range tcp(query) {
				_, _ = conn.Write(packet)
			}
			_, _ = io.Copy(io.Discard, c)
		})
	}
	return pc.LocalAddr().String()
}

// portPair takes one port of 127.0.0.1 for both UDP and TCP. The TCP socket is
// bound but does not listen: the kernel refuses who connects, and gives the port
// to nobody else, neither to another test nor to the connection itself. A UDP
// port whose TCP port is somebody's is kept until the pair is found, so that it
// is not offered again.
func portPair(t *testing.T) (pc net.PacketConn, tcp *os.File) {
	t.Helper()
	for range 100 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = pc.Close() })
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		tcp := os.NewFile(uintptr(fd), "tcp")
		t.Cleanup(func() { _ = tcp.Close() })
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: pc.LocalAddr().(*net.UDPAddr).Port, Addr: [4]byte{127, 0, 0, 1}})
		if err == nil {
			return pc, tcp
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			t.Fatal(err)
		}
	}
	t.Fatal("100 ports that are free for UDP are all taken for TCP")
	return nil, nil
}

// reply makes the answer to a query, with records in the words of a zone file.
func reply(rcode int, records ...string) func(*dns.Msg) [][]byte {
	return func(query *dns.Msg) [][]byte {
		m := new(dns.Msg).SetRcode(query, rcode)
		for _, text := range records {
			rr, err := dns.NewRR(text)
			if err != nil {
				panic(err) // a mistake in a test
			}
			m.Answer = append(m.Answer, rr)
		}
		return [][]byte{packed(m)}
	}
}

func packed(m *dns.Msg) []byte {
	text, err := m.Pack()
	if err != nil {
		panic(err) // a mistake in a test
	}
	return text
}

// bent is a good answer with a change.
func bent(change func(*dns.Msg)) func(*dns.Msg) [][]byte {
	return func(query *dns.Msg) [][]byte {
		m := new(dns.Msg).SetReply(query)
		rr, _ := dns.NewRR("www.example.net. 60 IN A 192.0.2.80")
		m.Answer = append(m.Answer, rr)
		change(m)
		return [][]byte{packed(m)}
	}
}

// after is one answer after another.
func after(all ...func(*dns.Msg) [][]byte) func(*dns.Msg) [][]byte {
	return func(query *dns.Msg) (packets [][]byte) {
		for _, one := range all {
			packets = append(packets, one(query)...)
		}
		return packets
	}
}

func raw(text string) func(*dns.Msg) [][]byte {
	return func(*dns.Msg) [][]byte { return [][]byte{[]byte(text)} }
}

// halved ends in the middle of its record.
func halved(truncated bool) func(*dns.Msg) [][]byte {
	return func(query *dns.Msg) [][]byte {
		text := bent(func(m *dns.Msg) { m.Truncated = truncated })(query)[0]
		return [][]byte{text[:len(text)-3]}
	}
}

var (
	wrongID       = bent(func(m *dns.Msg) { m.Id++ })
	wrongQuestion = bent(func(m *dns.Msg) { m.Question[0].Name = "other.example.net." })
	wrongType     = bent(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA })
	noQuestion    = bent(func(m *dns.Msg) { m.Question = nil })
	echoed        = bent(func(m *dns.Msg) { m.Response = false })
	truncated     = bent(func(m *dns.Msg) { m.Truncated, m.Answer = true, nil })
	upper         = bent(func(m *dns.Msg) { m.Question[0].Name = strings.ToUpper(m.Question[0].Name) })
	twoAddresses  = reply(dns.RcodeSuccess, "www.example.net. 60 IN A 192.0.2.80", "www.example.net. 60 IN A 192.0.2.81")
)

func TestDNS(t *testing.T) {
	t.Parallel()
	const cname = "www.example.net. 60 IN CNAME web.example.net."
	ask := check.DNS{Name: "www.example.net", Record: "A", Rcode: "NOERROR", MinAnswers: 1}
	with := func(change func(*check.DNS)) check.DNS {
		spec := ask
		change(&spec)
		return spec
	}
	for _, tt := range []struct {
		name     string
		spec     check.DNS
		udp, tcp func(*dns.Msg) [][]byte
		ok       bool
		want     string
	}{
		{"good", ask, twoAddresses, nil, true, "NOERROR, 2 A"},
		{"case of the name does not matter", ask, upper, nil, true, "NOERROR, 1 A"},
		{"enough", with(func(d *check.DNS) { d.MinAnswers = 2 }), twoAddresses, nil, true, "NOERROR, 2 A"},
		{"too few", with(func(d *check.DNS) { d.MinAnswers = 3 }), twoAddresses, nil, false, "NOERROR, 2 A, fewer than 3"},
		{"none", ask, reply(dns.RcodeSuccess), nil, false, "NOERROR, 0 A, fewer than 1"},
		{"an alias is no address", ask, reply(dns.RcodeSuccess, cname), nil, false, "NOERROR, 0 A, fewer than 1"},
		{"through an alias", ask, reply(dns.RcodeSuccess, cname, "web.example.net. 60 IN A 192.0.2.80"), nil, true, "NOERROR, 1 A"},
		{"wrong code", ask, reply(dns.RcodeServerFailure), nil, false, "SERVFAIL, not NOERROR"},
		{"a code without a name", ask, reply(13), nil, false, "code 13, not NOERROR"},
		{"expected code", with(func(d *check.DNS) { d.Rcode, d.MinAnswers = "NXDOMAIN", 0 }), reply(dns.RcodeNameError), nil, true, "NXDOMAIN, 0 A"},
		{"an error without a question", ask, bent(func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeFormatError }), nil, false, "FORMERR, not NOERROR"},
		{"answer", with(func(d *check.DNS) { d.Answer = "192.0.2.81" }), twoAddresses, nil, true, "NOERROR, 2 A"},
		{"other answer", with(func(d *check.DNS) { d.Answer = "192.0.2.9" }), twoAddresses, nil, false, "NOERROR, 2 A, 192.0.2.9 not among them: 192.0.2.80, 192.0.2.81"},
		{"no answer at all", with(func(d *check.DNS) { d.Answer, d.MinAnswers = "192.0.2.9", 0 }), reply(dns.RcodeSuccess), nil, false, "NOERROR, 0 A, 192.0.2.9 not among them"},
		{"IPv6 in another form", with(func(d *check.DNS) { d.Record, d.Answer = "AAAA", "2001:DB8:0:0::1" }),
			reply(dns.RcodeSuccess, "www.example.net. 60 IN AAAA 2001:db8::1"), nil, true, "NOERROR, 1 AAAA"},
		{"name without its dot", with(func(d *check.DNS) { d.Record, d.Answer = "MX", "10 MAIL.example.net" }),
			reply(dns.RcodeSuccess, "www.example.net. 60 IN MX 10 mail.example.net."), nil, true, "NOERROR, 1 MX"},
		{"text", with(func(d *check.DNS) { d.Record, d.Answer = "TXT", "serial 7" }),
			reply(dns.RcodeSuccess, `www.example.net. 60 IN TXT "serial" " 7"`), nil, true, "NOERROR, 1 TXT"},
		{"any", with(func(d *check.DNS) { d.Record, d.MinAnswers = "ANY", 2 }), reply(dns.RcodeSuccess, cname, "www.example.net. 60 IN TXT x"), nil, true, "NOERROR, 2 ANY"},

		{"the true one last", ask, after(wrongID, raw("garbage"), raw(""), wrongQuestion, twoAddresses), nil, true, "NOERROR, 2 A"},
		{"wrong id", ask, wrongID, nil, false, "ask *: no answer within 1s; ignored 1: with another id"},
		{"wrong question", ask, after(wrongQuestion, wrongType, noQuestion), nil, false, "ask *: no answer within 1s; ignored 3: to another question"},
		{"garbage", ask, after(raw("garbage"), raw(strings.Repeat("\x01", 600)), raw("")), nil, false, "ask *: no answer within 1s; ignored 3: garbage"},
		{"half an answer", ask, halved(false), nil, false, "ask *: no answer within 1s; ignored 1: garbage"},
		{"our own query", ask, echoed, nil, false, "ask *: no answer within 1s; ignored 1: not an answer"},
		{"silence", ask, after(), nil, false, "ask *: no answer within 1s"},

		{"truncated", ask, truncated, twoAddresses, true, "NOERROR, 2 A"},
		{"truncated in a record", ask, halved(true), twoAddresses, true, "NOERROR, 2 A"},
		{"truncated, and no TCP", ask, truncated, nil, false, "ask *: the answer was truncated; over TCP: connection refused"},
		{"truncated, and hangs over TCP", ask, truncated, after(), false, "ask *: the answer was truncated; over TCP: no answer within 1s"},
		{"truncated, and garbage over TCP", ask, truncated, after(wrongID, raw("garbage")), false,
			"ask *: the answer was truncated; over TCP: no answer within 1s; ignored 2: with another id, garbage"},
		{"TCP only", with(func(d *check.DNS) { d.TCP = true }), after(), after(wrongID, twoAddresses), true, "NOERROR, 2 A"},

		{"source", with(func(d *check.DNS) { d.Source = "127.0.0.1" }), twoAddresses, nil, true, "NOERROR, 2 A"},
		{"source of another family", with(func(d *check.DNS) { d.Source = "::1" }), twoAddresses, nil, false, "source ::1 is not an address to reach * from"},
		{"source that is not ours", with(func(d *check.DNS) { d.Source = "192.0.2.9" }), twoAddresses, nil, false, "ask *: cannot assign requested address"},
		{"name too long", with(func(d *check.DNS) { d.Name = strings.Repeat("a", 64) }), twoAddresses, nil, false, "ask for " + strings.Repeat("a", 64) + ": dns: bad rdata"},
		{"no such type", with(func(d *check.DNS) { d.Record = "AAAAA" }), twoAddresses, nil, false, "AAAAA is not a type of record"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.spec.Server = nameServer(t, tt.udp, tt.tcp)
			timeout := 20 * time.Second
			if strings.Contains(tt.want, "1s") {
				timeout = time.Second
			}
			got := Once(t.Context(), config(tt.spec, timeout), Settings{})
			if want := strings.ReplaceAll(tt.want, "*", tt.spec.Server); got.OK != tt.ok || got.Detail != want {
				t.Errorf("got %v %q, want %v %q", got.OK, got.Detail, tt.ok, want)
			}
		})
	}
}

// An answer of megabytes, or one that never ends, costs neither memory nor time.
func TestDNSFlood(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
	}{
		{"large", func(c net.Conn) {
			text := append(binary.BigEndian.AppendUint16(nil, 0xffff), make([]byte, 0xffff)...)
			for {
				if _, err := c.Write(text); err != nil {
					return
				}
			}
		}},
		{"slow", func(c net.Conn) {
			_, _ = c.Write([]byte{0xff, 0xff, 1})
			_, _ = io.Copy(io.Discard, c)
		}},
		{"closes", func(c net.Conn) { _ = c.Close() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spec := check.DNS{Server: listen(t, "tcp", "127.0.0.1:0", tt.serve), TCP: true, Name: "example.net", Record: "A", Rcode: "NOERROR"}
			start := time.Now()
			got := Once(t.Context(), config(spec, time.Second), Settings{})
			if got.OK || !strings.HasPrefix(got.Detail, "ask "+spec.Server+": ") || len(got.Detail) > 200 {
				t.Errorf("got %v %q", got.OK, got.Detail)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// Nobody at the port, no way, and a server that answers from another of its
// addresses, which no client accepts.
func TestDNSUnreachable(t *testing.T) {
	testenv.Require(t)
	other, err := net.ListenPacket("udp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	asked, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = asked.Close() }()
	go func() {
		buf := make([]byte, 1500)
		n, from, err := asked.ReadFrom(buf)
		query := new(dns.Msg)
		if err != nil || query.Unpack(buf[:n]) != nil {
			return
		}
		_, _ = other.WriteTo(twoAddresses(query)[0], from)
	}()
	for _, tt := range []struct{ name, server, want string }{
		{"refused", "127.0.0.1:1", "ask 127.0.0.1:1: connection refused"},
		{"refused, IPv6", "[::1]:1", "ask [::1]:1: connection refused"},
		{"no route", "192.0.2.1:53", "ask 192.0.2.1:53: network is unreachable"},
		{"no port", "192.0.2.1", "server 192.0.2.1 is not an IP address and a port"},
		{"a name", "localhost:53", "server localhost:53 is not an IP address and a port"},
		{"from another address", asked.LocalAddr().String(), "ask " + asked.LocalAddr().String() +
			": no answer within 1s; ignored 1: from another address, " + other.LocalAddr().String()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Once(t.Context(), config(check.DNS{Server: tt.server, Name: "example.net", Record: "A", Rcode: "NOERROR"}, time.Second), Settings{})
			if got.OK || got.Detail != tt.want {
				t.Errorf("got %v %q, want %q", got.OK, got.Detail, tt.want)
			}
		})
	}
}

// The library knows every word that a check can use.
func TestDNSWords(t *testing.T) {
	t.Parallel()
	for _, word := range check.RecordTypes() {
		if _, ok := dns.StringToType[word]; !ok {
			t.Errorf("type %s is not known", word)
		}
	}
	for _, word := range check.Rcodes() {
		if code, ok := dns.StringToRcode[word]; !ok || dns.RcodeToString[code] != word {
			t.Errorf("rcode %s is not known", word)
		}
	}
	if !slices.IsSorted(check.RecordTypes()) || !slices.IsSorted(check.Rcodes()) {
		t.Error("the words are not sorted")
	}
}
