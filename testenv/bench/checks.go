package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/vipd/vipd/testenv"
)

// manyChecks is how many checks the cost of checks is measured with, one probe a
// second each.
const manyChecks = 100

// checkKind is what each of many checks does.
type checkKind struct {
	title  string
	vipd   string                    // the keys of the check in vipd.toml
	script string                    // of vrrp_script, if keepalived can do that
	serve  func(*testenv.Host) error // what is asked
	others string                    // what is known of others
}

// Where the service of a check listens.
const (
	checkedTCP  = 8443
	checkedHTTP = 8080
	checkedDNS  = 5353
)

var checkKinds = []checkKind{
	{title: "exec `true`", vipd: "type = \"exec\"\ncommand = [\"/bin/true\"]\nuser = \"root\"", script: "/bin/true", others: programsOf},
	{title: "tcp", vipd: fmt.Sprintf("type = \"tcp\"\nport = %d", checkedTCP), serve: serveTCP, others: requestsOf},
	{title: "http", vipd: fmt.Sprintf("type = \"http\"\nurl = \"http://127.0.0.1:%d/\"", checkedHTTP), serve: serveHTTP, others: requestsOf},
	{title: "dns", vipd: fmt.Sprintf("type = \"dns\"\nserver = \":%d\"\nquery = \"www.example.net A\"", checkedDNS), serve: serveDNS, others: requestsOf},
	{title: "icmp", vipd: "type = \"icmp\"\ntarget = \"127.0.0.1\"", others: requestsOf},
}

// What others cost was measured before on such a machine, each with its own
// programs; they are not part of the run.
const (
	elsewhere  = " Measured before on such a machine, in averages of 8 s as well: "
	programsOf = elsewhere + "exabgp 4.2.21, one healthcheck process each, 37.7 % of a core and 1351 MB RSS (727 MB PSS); " +
		"BIRD with anycast_healthchecker (1a6b543), 10.8 % and 33 MB (24 MB)."
	requestsOf = elsewhere + "runityru/anycastd (86ae4fc), 100 requests by HTTP each second in its own process, 1.4 % of a core and 28.5 MB RSS (19 MB PSS)."
)

// measureChecks counts what many checks cost a host that holds its VIP.
func measureChecks(ctx context.Context, b *bench) error {
	for _, kind := range checkKinds {
		t := b.table(fmt.Sprintf("Cost of %d checks each second: %s", manyChecks, kind.title), fmt.Sprintf(
			"All pass, and a VIP depends on all. CPU is of all processes of the daemon and of the programs that they ran, over %s, in percent of one core; "+
				"memory is without these programs. The service that is asked does not count. keepalived's only checks for VRRP are scripts.%s",
			b.cost, kind.others), "CPU", "RSS")
		for range b.rounds {
			for _, d := range b.daemons {
				if d.name == "frr" || d.name == "keepalived" && kind.script == "" {
					continue
				}
				if err := b.spendOnChecks(ctx, d, &kind, t); err != nil {
					if ctx.Err() != nil {
						return err
					}
					b.say("%s, %s: %v", t.title, d.name, err)
					t.failed(d.name, err)
				}
			}
		}
		b.finished(t)
	}
	return nil
}

func (b *bench) spendOnChecks(ctx context.Context, d daemon, kind *checkKind, t *table) (err error) {
	lab, err := testenv.NewLab()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	h, err := lab.Host("lb1", "198.18.1.1/16")
	if err != nil {
		return err
	}
	if kind.serve != nil {
		if err := kind.serve(h); err != nil {
			return err
		}
	}
	w, err := watchAddresses(h, 1)
	if err != nil {
		return err
	}
	defer w.close()
	agent, err := d.start(h, spec{priority: 150, interval: time.Second, vips: 1, checks: kind})
	if err != nil {
		return err
	}
	if _, err := w.wait(ctx); err != nil { // it needs all checks
		return fmt.Errorf("%w: %s", err, tail(agent.output()))
	}
	if err := window(ctx, 3*time.Second); err != nil {
		return err
	}
	return spend(ctx, agent.pids(), b.cost, d.name, t)
}

// spend takes the figures of one daemon and its programs over a window.
func spend(ctx context.Context, groups []int, d time.Duration, name string, t *table) error {
	before, err := spent(groups)
	if err != nil {
		return err
	}
	from := time.Now()
	if err := window(ctx, d); err != nil {
		return err
	}
	took := time.Since(from)
	after, err := spent(groups)
	if err != nil {
		return err
	}
	memory, err := used(groups)
	if err != nil {
		return err
	}
	own, programs := after.own-before.own, after.programs-before.programs
	t.add("CPU", "%", name, 100*(own+programs).Seconds()/took.Seconds())
	t.add("CPU without programs", "%", name, 100*own.Seconds()/took.Seconds())
	t.add("CPU per probe", "µs", name, float64((own+programs).Microseconds())/(manyChecks*took.Seconds()))
	t.add("RSS", "MiB", name, memory.rss)
	t.add("PSS", "MiB", name, memory.pss)
	return nil
}

// consumed is the CPU time of processes, and of the children that they have seen
// to their end.
type consumed struct{ own, programs time.Duration }

// spent adds up what process groups have consumed. The kernel tells it in hundredths
// of a second, and includes threads that have ended.
func spent(groups []int) (sum consumed, err error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return sum, err
	}
	for _, dir := range dirs {
		if !inGroup(dir, groups) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			return sum, err
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest) // from the third of proc_pid_stat(5) on
		if len(fields) < 15 {
			return sum, fmt.Errorf("%s/stat is short", dir)
		}
		for i, field := range fields[11:15] {
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return sum, err
			}
			if took := time.Duration(ticks) * 10 * time.Millisecond; i < 2 {
				sum.own += took
			} else {
				sum.programs += took
			}
		}
	}
	return sum, nil
}

// listenOn listens in the namespace of a host until its lab is closed.
func listenOn(h *testenv.Host, port int) (l net.Listener, err error) {
	err = h.NS.Do(func() error {
		l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		return err
	})
	if err != nil {
		return nil, err
	}
	h.OnClose(func() error {
		_ = l.Close() // a server may have closed it
		return nil
	})
	return l, nil
}

// serveTCP takes connections and lets go of them when the other side does.
func serveTCP(h *testenv.Host) error {
	l, err := listenOn(h, checkedTCP)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // the lab is over
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = c.Read(make([]byte, 1))
			}()
		}
	}()
	return nil
}

// serveHTTP says that all is well.
func serveHTTP(h *testenv.Host) error {
	l, err := listenOn(h, checkedHTTP)
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})}
	go func() { _ = server.Serve(l) }() // until the lab is over
	return nil
}

// serveDNS answers every question with one address.
func serveDNS(h *testenv.Host) error {
	var pc net.PacketConn
	err := h.NS.Do(func() (err error) {
		pc, err = net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", checkedDNS))
		return err
	})
	if err != nil {
		return err
	}
	h.OnClose(pc.Close)
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return // the lab is over
			}
			query := new(dns.Msg)
			if query.Unpack(buf[:n]) != nil || len(query.Question) != 1 {
				continue
			}
			m := new(dns.Msg).SetReply(query)
			m.Answer = []dns.RR{&dns.A{
				Hdr: dns.RR_Header{Name: query.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
				A:   net.IPv4(192, 0, 2, 80),
			}}
			if text, err := m.Pack(); err == nil {
				_, _ = pc.WriteTo(text, from)
			}
		}
	}()
	return nil
}

// names are those of the checks.
func (k *checkKind) names() (list []string) {
	for i := range manyChecks {
		list = append(list, fmt.Sprintf("c%d", i+1))
	}
	return list
}

// vipdChecks are the checks in vipd.toml.
func (k *checkKind) vipdChecks() string {
	var b strings.Builder
	for _, name := range k.names() {
		fmt.Fprintf(&b, "[check.%s]\n%s\n", name, k.vipd)
	}
	return b.String()
}

// keepalivedChecks are the lines of keepalived.conf, and those of the virtual
// router.
func (k *checkKind) keepalivedChecks() (file, router string) {
	var b strings.Builder
	b.WriteString("global_defs {\n  script_user root\n  enable_script_security\n}\n")
	for _, name := range k.names() {
		fmt.Fprintf(&b, "vrrp_script %s {\n  script %q\n  interval 1\n}\n", name, k.script)
	}
	return b.String(), "  track_script {\n    " + strings.Join(k.names(), "\n    ") + "\n  }"
}
