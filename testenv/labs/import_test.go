package labs

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/peers"
)

// example is a pair as people run it with keepalived: one file for both hosts,
// with what differs behind @lb1 and @lb2. FLAG stands for a file whose absence
// is a failure of the service on that host.
type example struct {
	name      string
	conf      string
	addresses []string
	back      int // who holds the addresses after lb1 was unfit, or away, and is back
}

func examples() []example {
	return []example{{
		name: "classic", back: 0, addresses: []string{"192.0.2.100"},
		conf: `
vrrp_script service {
    script "/usr/bin/test -e FLAG"
    interval 1
    weight -20
    user nobody
}
vrrp_instance VI_1 {
    @lb1 state MASTER
    @lb2 state BACKUP
    interface eth0
    virtual_router_id 51
    @lb1 priority 110
    @lb2 priority 100
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass s3cr3t
    }
    virtual_ipaddress {
        192.0.2.100/24
    }
    track_script {
        service
    }
    notify_master "/usr/bin/touch FLAG-master"
    notify_backup "/usr/bin/touch FLAG-backup"
}
`,
	}, {
		name: "unicast-nopreempt", back: 1, addresses: []string{"192.0.2.100", "192.0.2.101"},
		conf: `
global_defs {
    vrrp_version 3
}
$PEER1=192.0.2.2
$PEER2=192.0.2.3
vrrp_script service {
    script "/usr/bin/test -e FLAG"
    interval 1
    fall 2
    user nobody
}
vrrp_instance WEB {
    state BACKUP
    nopreempt
    interface eth0
    virtual_router_id 10
    @lb1 priority 150
    @lb2 priority 100
    advert_int 0.2
    @lb1 unicast_src_ip $PEER1
    @lb2 unicast_src_ip $PEER2
    unicast_peer {
        @^lb1 $PEER1
        @^lb2 $PEER2
    }
    virtual_ipaddress {
        192.0.2.100/24
        192.0.2.101/24
    }
    track_script {
        service
    }
}
`,
	}, {
		name: "sync-group", back: 0, addresses: []string{"192.0.2.100", "192.0.2.120"},
		conf: `
global_defs {
    vrrp_version 3
    vrrp_garp_master_delay 1
}
vrrp_script service {
    script "/usr/bin/test -e FLAG"
    interval 1
    rise 2
    user nobody
}
vrrp_sync_group BOTH {
    group {
        ONE
        TWO
    }
    track_script {
        service
    }
}
vrrp_instance ONE {
    interface eth0
    virtual_router_id 20
    @lb1 priority 200
    @lb2 priority 150
    advert_int 0.25
    virtual_ipaddress {
        192.0.2.100/24
    }
}
vrrp_instance TWO {
    interface eth0
    virtual_router_id 21
    @lb1 priority 200
    @lb2 priority 150
    advert_int 0.25
    virtual_ipaddress {
        192.0.2.120/24
    }
}
`,
	}}
}

// migration is an example, and what runs on lb1 and on lb2.
type migration struct {
	example
	ours [2]bool // vipd instead of keepalived
}

func (m migration) String() string {
	word := map[bool]string{true: "vipd", false: "keepalived"}
	return m.name + "-" + word[m.ours[0]] + "-" + word[m.ours[1]]
}

// TestImportKeepalived: three examples elect the same host with keepalived on
// both hosts, with vipd and the converted file on both, and with one of each: at
// the start, while the service of the holder fails, when it is repaired, when
// the holder is stopped, and when it is back.
func TestImportKeepalived(t *testing.T) {
	var all []migration
	for _, e := range examples() {
		for _, who := range [][2]bool{{false, false}, {true, true}, {false, true}, {true, false}} {
			all = append(all, migration{e, who})
		}
	}
	together(t, all, func(t *testing.T, m migration) {
		peers.RequireKeepalived(t)
		r := newMigrated(t, m)
		r.start(0)
		r.heldBy(0, "lb1 alone")
		r.told("master")
		r.start(1)
		r.heldBy(0, "both run")
		r.service(0, false)
		r.heldBy(1, "the service of lb1 fails")
		r.service(0, true)
		r.heldBy(m.back, "the service of lb1 is repaired")
		r.stop(m.back)
		r.heldBy(1-m.back, "the holder is stopped")
		r.start(m.back)
		r.heldBy(0, "the holder is started again") // lb1 takes back; lb2 may not
	})
}

// migrated is a lab with an example.
type migrated struct {
	*pair
	migration
	flags [2]string
	text  [2]string // the configuration of each host's daemon
	peers [2]peers.Peer
	tap   *testenv.Observer
	vips  []netip.Addr
}

func newMigrated(t *testing.T, m migration) *migrated {
	t.Helper()
	r := &migrated{pair: newPair(t), migration: m}
	dir, err := os.MkdirTemp("", "service-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { // checks and hooks run as nobody
		t.Fatal(err)
	}
	for i, h := range r.hosts {
		r.flags[i] = filepath.Join(dir, h.Name)
		r.service(i, true)
		conf := strings.ReplaceAll(m.conf, "FLAG", r.flags[i])
		r.text[i] = conf
		if m.ours[i] {
			r.text[i] = importKeepalived(t, h, conf)
		}
	}
	for _, a := range m.addresses {
		r.vips = append(r.vips, addressOf(t, a))
	}
	if r.tap, err = r.hosts[1].ObservePort("eth0"); err != nil {
		t.Fatal(err)
	}
	return r
}

// importKeepalived converts a file for a host by the command. Nothing may be
// refused.
func importKeepalived(t *testing.T, h *testenv.Host, conf string) string {
	t.Helper()
	file := filepath.Join(h.Dir(), "original.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "import-keepalived", file, "--host", h.Name)
	var report strings.Builder
	cmd.Stderr = &report
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("import-keepalived: %v\n%s\n%s", err, report.String(), out)
	}
	if strings.Contains(string(out), "s3cr3t") || strings.Contains(report.String(), "s3cr3t") {
		t.Error("the password is in the result")
	}
	// The credential, where the test may have it.
	password := filepath.Join(h.Dir(), "password")
	if err := os.WriteFile(password, []byte("s3cr3t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(out), `"vrrp-VI_1-password"`, strconv.Quote(password))
}

// service makes the check of a host pass or fail.
func (r *migrated) service(i int, well bool) {
	r.t.Helper()
	err := os.Remove(r.flags[i])
	if well {
		err = os.WriteFile(r.flags[i], nil, 0o644)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// start runs the daemon of a host.
func (r *migrated) start(i int) {
	r.t.Helper()
	h := r.hosts[i]
	if r.ours[i] {
		a := &agent{t: r.t, host: h, config: filepath.Join(h.Dir(), "vipd.toml"), socket: filepath.Join(h.Dir(), "vipd.sock")}
		if err := os.WriteFile(a.config, []byte(r.text[i]), 0o600); err != nil {
			r.t.Fatal(err)
		}
		a.start()
		r.peers[i] = vipdPeer{a}
		return
	}
	// keepalived knows the host by its own @, as with --config-id.
	k, err := peers.StartKeepalived(h, peers.Config{Text: ownLines(r.text[i], h.Name)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.peers[i] = k
}

// ownLines resolves the conditions for a host: hosts of a lab have no names of
// their own.
func ownLines(conf, host string) string {
	var kept []string
	for _, l := range strings.Split(conf, "\n") {
		condition, rest, _ := strings.Cut(strings.TrimSpace(l), " ")
		switch other, negated := strings.CutPrefix(condition, "@^"); {
		case negated && other != host, condition == "@"+host:
			kept = append(kept, rest)
		case !strings.HasPrefix(condition, "@"):
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\n")
}

func (r *migrated) stop(i int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 15*time.Second)
	defer cancel()
	if err := r.peers[i].Stop(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// told waits until the hook of lb1 for a state has run, if the example has one.
func (r *migrated) told(state string) {
	r.t.Helper()
	if !strings.Contains(r.conf, "FLAG-"+state) {
		return
	}
	testenv.Eventually(r.t, 10*time.Second, "the hook for "+state, func() bool {
		_, err := os.Stat(r.flags[0] + "-" + state)
		return err == nil
	})
}

// settled is for how many adverts of a holder nothing may change.
const settled = 5

// heldBy waits until one host has all addresses and the other one none, and
// checks that it stays so.
func (r *migrated) heldBy(i int, when string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	alone := func() bool {
		for _, a := range r.vips {
			if !r.hosts[i].Holds(a) || r.hosts[1-i].Holds(a) {
				return false
			}
		}
		return true
	}
	if err := testenv.Until(ctx, alone); err != nil {
		r.t.Fatalf("%s: lb%d does not hold %v alone: %v\n%s", when, i+1, r.vips, err, r.describe())
	}
	mark, seen := time.Now(), 0
	_, err := r.tap.WaitFor(ctx, func(f testenv.Frame) bool {
		if advert(f) && sender(f) == i && f.Time.After(mark) {
			seen++
		}
		return seen == settled*len(r.vips)
	})
	if err != nil || !alone() {
		r.t.Fatalf("%s: lb%d does not keep %v: %v\n%s", when, i+1, r.vips, err, r.describe())
	}
}

// describe is what both daemons say.
func (r *migrated) describe() string {
	var b strings.Builder
	for i, p := range r.peers {
		if p == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		all, err := p.Status(ctx)
		cancel()
		fmt.Fprintf(&b, "lb%d says %+v, %v, and has %v\n%s\n", i+1, all, err, r.hosts[i].Addresses(""), r.text[i])
		switch p := p.(type) {
		case *peers.Keepalived:
			b.WriteString(p.Process.Output())
		case vipdPeer:
			b.WriteString(p.a.proc.Output())
		}
	}
	return b.String()
}
