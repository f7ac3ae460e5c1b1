package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vipd/vipd/pkg/check"
)

// checkServer is for servers that are asked by address: names would need the
// very service that is checked.
func checkServer(s string) error {
	host, port, err := splitHostPort(s)
	if err != nil {
		return err
	}
	if host != "" {
		if _, err := parseAddress(host); err != nil {
			return errors.New("must name an IP address, or none for 127.0.0.1: \"192.0.2.53:53\"")
		}
	}
	return checkPort(port)
}

// checkQuery is for what a name server is asked.
func checkQuery(s string) error {
	words := strings.Fields(s)
	if len(words) != 2 {
		return errors.New("is not a name and a type of record: \"www.example.net A\"")
	}
	name := strings.TrimSuffix(words[0], ".")
	wrong := func(label string) bool { return label == "" || len(label) > 63 }
	if len(name) > 253 || name != "" && slices.ContainsFunc(strings.Split(name, "."), wrong) || strings.ContainsAny(name, `\"();@$`) {
		return errors.New("asks for something that is not the name of a domain")
	}
	if !slices.Contains(check.RecordTypes(), strings.ToUpper(words[1])) {
		return fmt.Errorf("asks for a type of record that is not %s", join(check.RecordTypes(), "or"))
	}
	return nil
}

func dnsSpec(b *builder, s section) check.Spec {
	b.must(s, "server", `"127.0.0.1:53"`)
	b.must(s, "query", `"www.example.net A"`)
	d := check.DNS{
		Server: get[string](s, "server"),
		TCP:    get[string](s, "transport") == "tcp",
		Rcode:  get[string](s, "expect.rcode"),
		Answer: get[string](s, "expect.answer"),
	}
	if strings.HasPrefix(d.Server, ":") {
		d.Server = "127.0.0.1" + d.Server
	}
	if words := strings.Fields(get[string](s, "query")); len(words) == 2 {
		d.Name, d.Record = words[0], strings.ToUpper(words[1])
	}
	switch least := s.find("expect.min_answers"); {
	case least != nil:
		d.MinAnswers = get[int](s, "expect.min_answers")
	case d.Rcode == "NOERROR":
		d.MinAnswers = 1
	}
	if server, err := netip.ParseAddrPort(d.Server); err == nil {
		d.Source = b.sourceTo(s, server.Addr())
	}
	return d
}

func icmpSpec(b *builder, s section) check.Spec {
	b.must(s, "target", `"192.0.2.1"`)
	target := get[netip.Addr](s, "target")
	if !target.IsValid() {
		return check.ICMP{}
	}
	i := check.ICMP{Target: target.String(), Source: b.sourceTo(s, target), Interface: get[string](s, "interface")}
	if n := s.find("target"); target.IsLinkLocalUnicast() && target.Is6() && s.find("interface") == nil {
		b.atKey(n, Error, fmt.Sprintf("%s: %s is a link-local address, which every interface has its own of", s.node, target),
			"add `interface = \"eth0\"`")
	}
	return i
}

// sourceTo is the local address to reach another one from, "" for any.
func (b *builder) sourceTo(s section, to netip.Addr) string {
	source := get[netip.Addr](s, "source")
	if source.IsValid() && source.Is4() != to.Is4() {
		b.wrong(s.find("source"), fmt.Sprintf("%s cannot be reached from %s", to, source), "both must be IPv4, or both IPv6")
	}
	return b.source(s, to.String())
}

func describeDNS(s settings, d check.DNS) {
	transport := "udp"
	if d.TCP {
		transport = "tcp"
	}
	s["server"], s["query"] = values{d.Server}, values{d.Name + " " + d.Record}
	s["transport"], s["source"] = values{transport}, optional(d.Source)
	s["expect.rcode"], s["expect.answer"] = values{d.Rcode}, optional(d.Answer)
	s["expect.min_answers"] = values{strconv.Itoa(d.MinAnswers)}
}

func describeICMP(s settings, i check.ICMP) {
	s["target"] = values{i.Target}
	s["source"], s["interface"] = optional(i.Source), optional(i.Interface)
}
