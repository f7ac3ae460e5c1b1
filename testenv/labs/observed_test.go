package labs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// observed is a pair of hosts with keepalived, and vipd beside each that only
// observes.
type observed struct {
	*pair
	daemons [2]*peers.Keepalived
	agents  [2]*agent
	taps    [2]*testenv.Observer // all that a host sends
	before  [2]string            // what could be changed on it, before vipd came
	since   time.Time            // vipd is there
	told    string               // a file that its hook makes
}

// observation is the part of a status that is about observing.
type observation struct {
	Node struct {
		Observing bool `json:"observing"`
	} `json:"node"`
	VIPs []struct {
		State    string `json:"state"`
		Held     bool   `json:"held"`
		Sent     int    `json:"adverts_sent"`
		Observed struct {
			Here        bool     `json:"here"`
			Holders     []string `json:"holders"`
			Differences []struct {
				Kind string `json:"kind"`
				Text string `json:"text"`
			} `json:"differences"`
		} `json:"observed"`
	} `json:"vips"`
}

// observedInterval is that of the adverts.
const observedInterval = 200 * time.Millisecond

func newObserved(t *testing.T) *observed {
	t.Helper()
	o := &observed{pair: newPair(t, "nft", "ip")}
	for i, h := range o.hosts {
		var err error
		if o.taps[i], err = h.ObserveAll("eth0"); err != nil {
			t.Fatal(err)
		}
	}
	o.keepalived(0)
	o.within(30*time.Second, "keepalived of lb1 to have announced the VIP for the last time", func(ctx context.Context) error {
		seen := 0
		_, err := o.taps[0].WaitFor(ctx, func(f testenv.Frame) bool {
			if f.Out && f.ARP != nil && f.ARP.Gratuitous() {
				seen++
			}
			return seen == 10 // five at once, and five a second later
		})
		return err
	})
	o.keepalived(1)
	o.within(30*time.Second, "keepalived of lb2 to be Backup", func(ctx context.Context) error {
		return peers.WaitState(ctx, o.daemons[1], "web", peers.Backup)
	})
	o.told = filepath.Join(o.hosts[0].Dir(), "told")
	for i := range o.hosts {
		o.before[i] = o.inspect(i)
	}
	return o
}

func (o *observed) within(limit time.Duration, what string, do func(context.Context) error) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), limit)
	defer cancel()
	if err := do(ctx); err != nil {
		o.t.Fatalf("wait for %s: %v", what, err)
	}
}

// keepalived starts that of a host: lb1 has 150, lb2 has 100.
func (o *observed) keepalived(i int) {
	o.t.Helper()
	k, err := peers.StartKeepalived(o.hosts[i], peers.Config{Routers: []peers.Router{{
		Name: "web", VRID: 51, Priority: uint8(150 - 50*i), Interval: observedInterval, Addresses: []string{vip4.String() + "/24"}, Extra: "  garp_master_delay 1",
	}}})
	if err != nil {
		o.t.Fatal(err)
	}
	o.daemons[i] = k
}

// config is a vipd that would do a lot: talk to its peer, run a hook, filter
// packets, make a device of its own, and need a majority.
func (o *observed) config(i, priority int) string {
	return o.talking(i) + "fence = [[\"by-hand\"]]\n[fence]\ntrack = []\n[fence.device.by-hand]\nagent = \"manual\"\n" +
		web(priority, observedInterval, fmt.Sprintf("vmac = true\ntakeover = \"fence\"\nlease = \"nft\"\nnotify = [\"/usr/bin/touch\", %q]\n", o.told))
}

// observe starts vipd on both hosts.
func (o *observed) observe() {
	o.t.Helper()
	for i, h := range o.hosts {
		o.agents[i] = o.vipd(h, o.config(i, 150-50*i), "--observe")
	}
	o.since = time.Now()
}

// configure gives a vipd another priority.
func (o *observed) configure(i, priority int) {
	o.t.Helper()
	o.agents[i].write(o.config(i, priority))
	o.agents[i].must("reload")
}

// says is what a vipd says of the VIP.
func (o *observed) says(i int) (s observation) {
	code, out, _ := o.agents[i].run("status", "--json")
	if code != 0 || json.Unmarshal([]byte(out), &s) != nil || len(s.VIPs) != 1 {
		return observation{}
	}
	return s
}

// agree waits until a vipd says, for longer than a difference needs to count, what
// is: that the holder has the VIP.
func (o *observed) agree(i, holder int) {
	o.t.Helper()
	since, last := time.Time{}, observation{}
	o.within(40*time.Second, fmt.Sprintf("vipd of lb%d to agree that lb%d holds it", i+1, holder+1), func(ctx context.Context) error {
		err := testenv.Until(ctx, func() bool {
			last = o.says(i)
			agrees := len(last.VIPs) == 1
			if agrees {
				v := last.VIPs[0]
				agrees = last.Node.Observing && !v.Held && v.Sent == 0 && (v.State == "ACTIVE") == (i == holder) && v.Observed.Here == (i == holder) && len(v.Observed.Differences) == 0
				if i != holder {
					agrees = agrees && len(v.Observed.Holders) == 1
				}
			}
			if !agrees {
				since = time.Time{}
			} else if since.IsZero() {
				since = time.Now()
			}
			return agrees && time.Since(since) > 4*time.Second
		})
		if err != nil {
			return fmt.Errorf("it says %+v: %w\n%s", last, err, o.agents[i].proc.Output())
		}
		return nil
	})
}

// differs waits until a vipd says that something differs.
func (o *observed) differs(i int, kind, text string) {
	o.t.Helper()
	last := observation{}
	o.within(20*time.Second, fmt.Sprintf("vipd of lb%d to say that %s: %s", i+1, kind, text), func(ctx context.Context) error {
		err := testenv.Until(ctx, func() bool {
			last = o.says(i)
			for _, v := range last.VIPs {
				for _, d := range v.Observed.Differences {
					if d.Kind == kind && strings.Contains(d.Text, text) {
						return true
					}
				}
			}
			return false
		})
		if err != nil {
			return fmt.Errorf("it says %+v: %w\n%s", last, err, o.agents[i].proc.Output())
		}
		return nil
	})
}

// silent checks that nothing left the hosts since vipd is there but the adverts of
// keepalived of lb1, of which that has sent as many, and that nothing has changed.
func (o *observed) silent() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), 10*time.Second)
	defer cancel()
	var adverts int
	err := testenv.Until(ctx, func() bool { // adverts leave between the looks
		adverts = 0
		for _, f := range o.taps[0].Frames() {
			if f.Out && f.VRRP != nil {
				adverts++
			}
		}
		all, err := o.daemons[0].Status(ctx)
		return err == nil && all["web"].Sent == adverts
	})
	if err != nil {
		o.t.Errorf("lb1 has sent %d adverts, and not all were of keepalived", adverts)
	}
	for i, tap := range o.taps {
		for _, f := range tap.Since(o.since) {
			switch {
			case !f.Out || i == 0 && f.VRRP != nil:
			case f.VRRP != nil, f.ARP != nil && f.ARP.Gratuitous(), f.ND != nil && f.ND.Unsolicited():
				o.t.Errorf("lb%d announced something: %+v", i+1, f)
			case len(f.Data) > 23 && f.Data[12] == 8 && f.Data[13] == 0 && f.Data[23] == unix.IPPROTO_UDP:
				o.t.Errorf("lb%d sent a datagram: %x", i+1, f.Data)
			}
		}
		if n := tap.Dropped(); n > 0 {
			o.t.Errorf("%d frames of lb%d were not seen", n, i+1)
		}
		o.unchanged(i)
	}
	if _, err := os.Stat(o.told); err == nil {
		o.t.Error("a hook has run")
	}
}

// unchanged checks that a host is as it was before vipd came.
func (o *observed) unchanged(i int) {
	o.t.Helper()
	if now := o.inspect(i); now != o.before[i] {
		o.t.Errorf("lb%d was\n%s\nand is\n%s", i+1, o.before[i], now)
	}
}

// inspect tells all of a host that a vipd could change: links, addresses, routes,
// packet filter and settings of the interface.
func (o *observed) inspect(i int) string {
	o.t.Helper()
	var b strings.Builder
	for _, cmd := range [][]string{
		{"ip", "-brief", "address"}, {"ip", "route", "show", "table", "all"}, {"ip", "rule"}, {"nft", "list", "ruleset"},
		{"sh", "-c", "grep -H . /proc/sys/net/ipv4/conf/*/* /proc/sys/net/ipv6/conf/*/* 2>/dev/null | grep -v stable_secret"},
	} {
		ctx, cancel := context.WithTimeout(o.t.Context(), 5*time.Second)
		out, err := o.hosts[i].Run(ctx, cmd[0], cmd[1:]...)
		cancel()
		if err != nil {
			o.t.Fatalf("lb%d: %v: %v\n%s", i+1, cmd, err, out)
		}
		b.WriteString(out)
	}
	return b.String()
}

// history is what a vipd told of differences: kind, from and to of each event.
func (o *observed) history(i int) string {
	o.t.Helper()
	var b bytes.Buffer
	for _, e := range o.agents[i].events("observe") {
		fmt.Fprintf(&b, "%s %s %s %s\n", e.Name, e.Reason, e.From, e.To)
	}
	return b.String()
}

// kept lists what a vipd has left in its state directory.
func (o *observed) kept(i int) (list []string) {
	o.t.Helper()
	for _, pattern := range []string{"*.json", "*.jsonl"} {
		found, err := filepath.Glob(filepath.Join(o.hosts[i].Dir(), pattern))
		if err != nil {
			o.t.Fatal(err)
		}
		list = append(list, found...)
	}
	return list
}
