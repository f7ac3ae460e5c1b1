package config

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

func tcpSpec(b *builder, s section) check.Spec {
	return check.TCP{
		Address: b.target(s),
		Source:  b.source(s, get[string](s, "address")),
		Send:    get[string](s, "send"),
		Text:    get[string](s, "expect.text"),
		Regexp:  get[*regexp.Regexp](s, "expect.regexp"),
	}
}

func tlsSpec(b *builder, s section) check.Spec {
	t := check.TLS{
		Address:   b.target(s),
		Source:    b.source(s, get[string](s, "address")),
		Trust:     b.trust(s),
		WarnBelow: get[time.Duration](s, "warn_below"),
		FailBelow: get[time.Duration](s, "fail_below"),
	}
	b.needsName(s, t.Address, t.Trust)
	if t.WarnBelow > 0 && t.WarnBelow <= t.FailBelow {
		b.wrong(s.find("warn_below"), fmt.Sprintf("%s never warns: below %s it fails", words(t.WarnBelow), words(t.FailBelow)), "")
	}
	return t
}

func grpcSpec(b *builder, s section) check.Spec {
	g := check.GRPC{
		Address: b.target(s),
		Source:  b.source(s, get[string](s, "address")),
		Service: get[string](s, "service"),
		TLS:     get[bool](s, "tls"),
		Trust:   b.trust(s),
	}
	if g.TLS {
		b.needsName(s, g.Address, g.Trust)
	} else {
		b.trustMatters(s, "without `tls = true`")
	}
	return g
}

func httpSpec(b *builder, s section) check.Spec {
	b.must(s, "url", `"http://127.0.0.1:8080/healthz"`)
	h := check.HTTP{
		Source:    b.source(s, get[string](s, "url")),
		Method:    get[string](s, "method"),
		Host:      get[string](s, "host"),
		Headers:   get[map[string]string](s, "headers"),
		Redirects: get[int](s, "redirects"),
		Trust:     b.trust(s),
		Status:    get[[]check.StatusRange](s, "expect.status"),
		Body:      get[string](s, "expect.body"),
		Regexp:    get[*regexp.Regexp](s, "expect.regexp"),
	}
	h.URL, h.Socket = check.SplitTarget(get[string](s, "url"))
	if h.Redirects == 0 && strings.HasPrefix(h.URL, "http:") {
		b.trustMatters(s, "with a URL of http")
	}
	for _, key := range []string{"expect.body", "expect.regexp"} {
		if n := s.find(key); n != nil && h.Method == "HEAD" {
			b.wrong(n, "an answer to HEAD has no body", "")
		}
	}
	return h
}

// target is what a check connects to, from `port` or `address`.
func (b *builder) target(s section) string {
	port, target := s.find("port"), s.find("address")
	switch {
	case port == nil && target == nil:
		b.must(s, "port", "443")
	case port != nil && target != nil:
		b.atKey(port, Error, fmt.Sprintf("%s: `port` and `address` exclude each other", s.node), "address holds a port: \"192.0.2.1:443\"")
	}
	address := get[string](s, "address")
	switch {
	case address == "":
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(get[int](s, "port")))
	case strings.HasPrefix(address, ":"):
		return "127.0.0.1" + address
	}
	return address
}

// source is the local address of a check that connects to target.
func (b *builder) source(s section, target string) string {
	source := get[netip.Addr](s, "source")
	if !source.IsValid() {
		return ""
	}
	if strings.HasPrefix(target, socketPrefix) {
		b.wrong(s.find("source"), "a Unix socket has no source address", "")
	}
	return source.String()
}

// trustKeys are what section.trust reads.
var trustKeys = []string{"server_name", "ca_file", "insecure"}

func (b *builder) trust(s section) check.Trust {
	if n := s.find("ca_file"); n != nil && get[bool](s, "insecure") {
		b.atKey(n, Error, fmt.Sprintf("%s: `ca_file` and `insecure` exclude each other", s.node), "")
	}
	return check.Trust{
		ServerName: get[string](s, "server_name"),
		CAFile:     get[string](s, "ca_file"),
		Insecure:   get[bool](s, "insecure"),
	}
}

// needsName reports a certificate of nobody in particular.
func (b *builder) needsName(s section, address string, t check.Trust) {
	if strings.HasPrefix(address, socketPrefix) && t.ServerName == "" && !t.Insecure {
		b.must(s, "server_name", `"www.example.net"`)
	}
}

// trustMatters reports keys of TLS where none is spoken.
func (b *builder) trustMatters(s section, where string) {
	for _, key := range trustKeys {
		if n := s.find(key); n != nil {
			b.atKey(n, Error, fmt.Sprintf("%s: `%s` has no effect %s", s.node, key, where), "")
		}
	}
}
