package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/check"
)

func TestNetworkChecks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, table string
		want        check.Spec
	}{
		{"dns", `type = "dns"
server = ":53"
query = "www.example.net. aaaa"`, check.DNS{Server: "127.0.0.1:53", Name: "www.example.net.", Record: "AAAA", Rcode: "NOERROR", MinAnswers: 1}},
		{"everything about dns", `type = "dns"
server = "[2001:db8::53]:5353"
query = ". NS"
source = "2001:db8::1"
transport = "tcp"
expect = { rcode = "NOERROR", min_answers = 0, answer = "a.root-servers.net" }`, check.DNS{
			Server: "[2001:db8::53]:5353", Source: "2001:db8::1", TCP: true, Name: ".", Record: "NS", Rcode: "NOERROR", Answer: "a.root-servers.net",
		}},
		{"an error has no answers", `type = "dns"
server = "192.0.2.53:53"
query = "gone.example.net A"
expect.rcode = "NXDOMAIN"`, check.DNS{Server: "192.0.2.53:53", Name: "gone.example.net", Record: "A", Rcode: "NXDOMAIN"}},
		{"icmp", `type = "icmp"
target = "127.0.0.1"`, check.ICMP{Target: "127.0.0.1"}},
		{"everything about icmp", `type = "icmp"
target = "fe80::1"
source = "fe80::2"
interface = "eth0"`, check.ICMP{Target: "fe80::1", Source: "fe80::2", Interface: "eth0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := parse(t, `
[vip.web]
interface = "eth0"
vrid      = 51
addresses = ["192.0.2.10/24"]
track     = ["it"]
[check.it]
`+tt.table)
			if diff := cmp.Diff(tt.want, c.Engine.Checks["it"].Spec); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestNetworkChecksDiffer(t *testing.T) {
	t.Parallel()
	s := settings{}
	describeDNS(s, check.DNS{Server: "192.0.2.53:53", Name: "www.example.net", Record: "A", Rcode: "NOERROR", MinAnswers: 1, TCP: true})
	describeICMP(s, check.ICMP{Target: "192.0.2.1", Interface: "eth0"})
	want := settings{
		"server": {"192.0.2.53:53"}, "query": {"www.example.net A"}, "transport": {"tcp"}, "source": nil,
		"expect.rcode": {"NOERROR"}, "expect.min_answers": {"1"}, "expect.answer": nil, "target": {"192.0.2.1"}, "interface": {"eth0"},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
