package labs

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// doctor runs vipd doctor on a host and returns what it says, by check.
func (a *agent) doctor(host *testenv.Host, args ...string) map[string]string {
	a.t.Helper()
	cmd := exec.Command(binary, append([]string{"--socket", a.socket, "doctor", "--json", "-c", a.config}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := host.NS.Start(cmd); err != nil {
		a.t.Fatal(err)
	}
	_ = cmd.Wait() // exit 1 when something fails
	var doc struct {
		Findings []struct{ Check, Level, Text, Fix string }
	}
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		a.t.Fatalf("vipd doctor: %v\n%s%s", err, out.String(), errs.String())
	}
	says := map[string]string{}
	for _, f := range doc.Findings {
		says[f.Check] += f.Level + ": " + f.Text + "\n"
	}
	return says
}

// TestDoctor: settings are broken one after the other, and the doctor finds each.
func TestDoctor(t *testing.T) {
	p := newPair(t, "nft")
	lb1 := p.vipd(p.hosts[0], web(150, 100*time.Millisecond, ""))
	lb1.waitState("web", "ACTIVE")
	host := p.hosts[0]
	expect := func(check, want string, args ...string) {
		t.Helper()
		if got := lb1.doctor(host, args...)[check]; !strings.Contains(got, want) {
			t.Errorf("%s says %q, want %q", check, got, want)
		}
	}
	run := func(args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if out, err := host.Run(ctx, args[0], args[1:]...); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	well := lb1.doctor(host, "--probe", "--listen")
	for _, check := range []string{"capabilities", "interfaces", "addresses", "sysctls", "firewall", "mtu", "conflict", "vrid"} {
		if !strings.HasPrefix(well[check], "pass: ") {
			t.Errorf("%s of a host that is well: %s", check, well[check])
		}
	}

	run("nft", "add table inet filter")
	run("nft", "add chain inet filter input { type filter hook input priority 0; policy drop; }")
	run("nft", "add rule inet filter input iif lo accept")
	expect("firewall", "fail: VRRP (IP protocol 112) on eth0 is dropped by chain inet filter input")
	run("nft", "insert rule inet filter input meta l4proto 112 accept") // as the fix says
	expect("firewall", "pass: ")
	run("nft", "insert rule inet filter input ip protocol vrrp ip saddr 192.0.2.99 drop")
	expect("firewall", "warn: VRRP")
	run("nft", "delete table inet filter")

	if err := host.Sysctl("net/ipv4/conf/eth0/arp_ignore", "8"); err != nil {
		t.Fatal(err)
	}
	expect("sysctls", "fail: arp_ignore is 8 on eth0")
	if err := host.Sysctl("net/ipv4/conf/eth0/arp_ignore", "0"); err != nil {
		t.Fatal(err)
	}

	// Somebody else has the address as well.
	if err := p.hosts[1].AddAddress("eth0", netip.PrefixFrom(vip4, 24)); err != nil {
		t.Fatal(err)
	}
	expect("conflict", "fail: vip web: this host has "+vip4.String()+", and "+p.hosts[1].MAC("eth0").String()+" answers for it as well", "--probe")
	if err := p.hosts[1].DeleteAddress("eth0", netip.PrefixFrom(vip4, 24)); err != nil {
		t.Fatal(err)
	}
	expect("conflict", "pass: ", "--probe")

	// Somebody else uses the virtual router number, with another version.
	other := strings.Replace(web(100, time.Second, "version = 2\n"), "192.0.2.100", "192.0.2.150", 1)
	p.vipd(p.hosts[1], other).waitState("web", "ACTIVE")
	expect("vrid", "fail: vip web: 192.0.2.3 and this host advertise vrid 51", "--listen")

	for _, own := range host.Addresses("eth0") {
		if own.Addr().Is4() && own.Addr() != vip4 {
			if err := host.DeleteAddress("eth0", own); err != nil {
				t.Fatal(err)
			}
		}
	}
	expect("addresses", "warn: vip web: eth0 has no address of its own in the network of")
	if err := host.SetLink("eth0", false); err != nil {
		t.Fatal(err)
	}
	expect("interfaces", "fail: vip web: interface eth0 is down")
}
