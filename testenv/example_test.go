package testenv_test

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// How a user tests an own configuration of vipd, in an own module and CI: two
// hosts with the real files, a client, a crash. The package of such a test has
//
//	func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }
func Example_yourOwnConfiguration() {
	TestFailover := func(t *testing.T) {
		lab := testenv.TestLab(t, "vipd") // skips where there is no vipd
		client, err := lab.Host("client", "192.0.2.10/24")
		if err != nil {
			t.Fatal(err)
		}
		agents := map[string]*testenv.Process{}
		for name, address := range map[string]string{"lb1": "192.0.2.1/24", "lb2": "192.0.2.2/24"} {
			host, err := lab.Host(name, address)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := host.Respond(80); err != nil { // your service
				t.Fatal(err)
			}
			agents[name], err = host.Start(exec.Command("vipd", "run",
				"--config", "/etc/deploy/"+name+".toml",
				"--socket", host.Dir()+"/vipd.sock", "--state-dir", host.Dir()))
			if err != nil {
				t.Fatal(err)
			}
		}

		probes, err := client.Probe(netip.MustParseAddrPort("192.0.2.100:80"), testenv.ProbeRate)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := probes.WaitAnswer(ctx, "lb1"); err != nil {
			t.Fatal(err, agents["lb1"].Output())
		}

		crash := time.Now()
		if err := agents["lb1"].SignalGroup(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if _, err := probes.WaitAnswer(ctx, "lb2"); err != nil {
			t.Fatal(err, agents["lb2"].Output())
		}
		if r := probes.Stop().Since(crash); r.LongestGap > 400*time.Millisecond {
			t.Errorf("the service was away for too long: %v", r)
		}
	}
	_ = TestFailover // go test runs it
}

// A lab with a client and two hosts. The address is moved by hand here; a real
// test starts a program on the hosts that does it.
func Example() {
	lab, err := testenv.NewLab()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = lab.Close() }()
	client, _ := lab.Host("client", "192.0.2.10/24")
	lb1, _ := lab.Host("lb1", "192.0.2.1/24")
	lb2, _ := lab.Host("lb2", "192.0.2.2/24")
	for _, host := range []*testenv.Host{lb1, lb2} {
		_, _ = host.Respond(80)
	}
	address := netip.MustParsePrefix("192.0.2.100/32")
	_ = lb1.AddAddress("eth0", address)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	probes, _ := client.Probe(netip.AddrPortFrom(address.Addr(), 80), testenv.ProbeRate)
	before, _ := probes.WaitAnswer(ctx, "")
	fmt.Println("before:", before.Host)

	_ = lab.PortDown(lb1) // the cable is pulled
	_ = lb2.AddAddress("eth0", address)
	_ = client.ForgetNeighbour(address.Addr()) // what a gratuitous ARP would do
	after, _ := probes.WaitAnswer(ctx, "lb2")
	fmt.Println("after:", after.Host)

	report := probes.Stop()
	fmt.Println("moves:", len(report.Turns())-1)
	fmt.Println("wrong host:", report.Since(after.Sent).ByHost["lb1"])
	// Output:
	// before: lb1
	// after: lb2
	// moves: 1
	// wrong host: 0
}
