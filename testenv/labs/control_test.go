package labs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// get asks the control socket without vipd's client.
func (a *agent) get(path string) (status int, text string) {
	a.t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", a.socket) },
	}}
	res, err := client.Get("http://vipd" + path)
	for try := 1; err != nil && try < 5; try++ { // a crowd may cut an honest client off
		res, err = client.Get("http://vipd" + path)
	}
	if err != nil {
		a.t.Fatalf("%s: GET %s: %v\n%s", a.host.Name, path, err, a.proc.Output())
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatalf("%s: GET %s: %v", a.host.Name, path, err)
	}
	return res.StatusCode, string(raw)
}

// metric is the value of one series, with its labels as they are printed.
func (a *agent) metric(series string) float64 {
	a.t.Helper()
	_, page := a.get("/metrics")
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(page)
	if m == nil {
		a.t.Fatalf("%s: no %s in\n%s", a.host.Name, series, page)
	}
	value, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		a.t.Fatal(err)
	}
	return value
}

// peakMemory is the most that a daemon has had in memory, in bytes.
func (a *agent) peakMemory() int {
	a.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.proc.Pid()))
	if err != nil {
		a.t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(raw)
	if m == nil {
		a.t.Fatalf("no VmHWM in %s", raw)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		a.t.Fatal(err)
	}
	return kib << 10
}

// descriptors counts the open ones of a daemon.
func (a *agent) descriptors() int {
	a.t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.proc.Pid()))
	if err != nil {
		a.t.Fatal(err)
	}
	return len(list)
}

// crowd is many rude clients of a control socket.
type crowd struct {
	sync.WaitGroup
	ctx    context.Context
	socket string
}

// rudeness is what a client of the crowd begins with, and what it goes on with
// until it is thrown out: then it comes again.
func (c *crowd) rudeness(begin string, more []byte, pause time.Duration) {
	c.Go(func() {
		for c.ctx.Err() == nil {
			conn, err := net.DialTimeout("unix", c.socket, time.Second)
			if err != nil {
				time.Sleep(10 * time.Millisecond) // the backlog is full
				continue
			}
			stop := context.AfterFunc(c.ctx, func() { _ = conn.Close() })
			_, err = io.WriteString(conn, begin)
			for err == nil && c.ctx.Err() == nil {
				_, err = conn.Write(more)
				select {
				case <-time.After(pause):
				case <-c.ctx.Done():
				}
			}
			stop()
			_ = conn.Close()
		}
	})
}

// crowded is how many descriptors a crowd may cost a daemon: 64 connections and
// one that waits for a place, 16 pages of metrics at once, each of which reads a
// file of /proc about the process itself, and a few that have nothing to do with
// the crowd: a record or a state that is written, a socket that the announcer
// opens at its first use.
const crowded = 64 + 1 + 16 + 6

// TestControlCrowd: 1 000 clients on the control sockets of both hosts, silent
// ones, half-open and slow ones, garbage, streams that nobody reads, and bodies
// of 100 MB. Honest clients are answered, memory and descriptors stay bounded,
// and nobody loses its election (at 500 ms: the crowd itself takes most of the
// machine's time).
func TestControlCrowd(t *testing.T) {
	p := newPair(t)
	lb1 := p.vipd(p.hosts[0], web(150, 500*time.Millisecond, ""))
	lb2 := p.vipd(p.hosts[1], web(100, 500*time.Millisecond, ""))
	lb1.waitState("web", "ACTIVE")
	lb2.waitState("web", "BACKUP")
	agents := []*agent{lb1, lb2}
	before := []int{lb1.transitions("web"), lb2.transitions("web")}
	calm := []int{lb1.descriptors(), lb2.descriptors()}
	sent := lb1.metric(`vipd_vip_adverts_sent_total{family="ipv4",interface="eth0",vip="web",vrid="51"}`)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	garbage := make([]byte, 4096)
	for i := range garbage {
		garbage[i] = byte(rand.Uint32())
	}
	const huge = "POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n{"
	var crowds []*crowd
	for _, a := range agents {
		c := &crowd{ctx: ctx, socket: a.socket}
		crowds = append(crowds, c)
		for i := range 500 {
			switch i % 6 {
			case 0:
				c.rudeness("", nil, time.Second)
			case 1:
				c.rudeness("GET /v1/status HTTP/1.1\r\nHost:", []byte("x"), 100*time.Millisecond)
			case 2:
				c.rudeness("GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n", []byte("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), 100*time.Millisecond)
			case 3:
				c.rudeness("", garbage, 20*time.Millisecond)
			case 4:
				c.rudeness("POST /v1/drain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", []byte("1\r\n{\r\n"), 50*time.Millisecond)
			case 5:
				if i < 60 { // each of these sends as fast as it can
					c.rudeness(huge, bytes.Repeat([]byte("x"), 64<<10), time.Millisecond)
				} else {
					c.rudeness(huge, bytes.Repeat([]byte("x"), 16<<10), 100*time.Millisecond)
				}
			}
		}
	}
	most, asked := make([]int, len(agents)), 0
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); asked++ {
		lb1.must("is-active", "web", "--timeout", "20s", "-q")
		if status, _ := lb2.get("/readyz"); status != http.StatusOK {
			t.Errorf("lb2 is not ready: %d", status)
		}
		for i, a := range agents {
			most[i] = max(most[i], a.descriptors())
		}
	}
	cancel()
	for _, c := range crowds {
		c.Wait()
	}
	for i, a := range agents {
		if n := a.transitions("web"); n != before[i] {
			t.Errorf("%s: %d transitions, %d before\n%s", a.host.Name, n, before[i], a.proc.Output())
		}
		if most[i] > calm[i]+crowded {
			t.Errorf("%s: %d descriptors, %d in calm: more than %d above", a.host.Name, most[i], calm[i], crowded)
		}
		if peak := a.peakMemory(); peak > 100<<20 {
			t.Errorf("%s: %d MiB of memory at its peak", a.host.Name, peak>>20)
		}
		a.eventually(30*time.Second, fmt.Sprintf("back from %d to %d descriptors", a.descriptors(), calm[i]), func() bool { return a.descriptors() <= calm[i]+4 })
		t.Logf("%s: peak %d MiB, %d descriptors (%d in calm)", a.host.Name, a.peakMemory()>>20, most[i], calm[i])
	}
	if now := lb1.metric(`vipd_vip_adverts_sent_total{family="ipv4",interface="eth0",vip="web",vrid="51"}`); now < sent+10 {
		t.Errorf("%v adverts sent in 8 s at 500 ms", now-sent)
	}
	t.Logf("honest clients were answered %d times", asked)
}

// TestStrangerDrains: somebody who may not open the socket, and somebody who may,
// but is in no group that may change things. Both are told so, and nothing moves.
func TestStrangerDrains(t *testing.T) {
	p := newPair(t)
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || !regexp.MustCompile(`\s\d{6,}\s*$`).Match(ids) {
		t.Skipf("missing: other users in this user namespace (needs root outside): %s %v", ids, err)
	}
	a := p.vipd(p.hosts[0], "[control]\nadmin_group = \"4243\"\n"+web(150, 100*time.Millisecond, ""))
	a.waitState("web", "ACTIVE")
	for _, path := range []string{a.socket, binary} {
		for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
			if info, err := os.Stat(dir); err == nil && info.Mode()&0o001 == 0 {
				if err := os.Chmod(dir, info.Mode()|0o011); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = os.Chmod(dir, info.Mode()) })
			}
		}
	}
	if err := os.Chown(a.socket, 0, 4242); err != nil {
		t.Fatal(err)
	}
	as := func(gid uint32, args ...string) (int, string) {
		t.Helper()
		cmd := exec.Command(binary, append([]string{"--socket", a.socket}, args...)...)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4004, Gid: gid}}
		out, err := cmd.CombinedOutput()
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			t.Fatalf("vipd %v: %v", args, err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	for _, c := range []struct {
		gid  uint32
		code int
		text string
		args []string
	}{
		{4004, 5, "not permitted: you may not open ", []string{"status"}},
		{4004, 5, "not permitted: you may not open ", []string{"drain"}},
		{4242, 0, "web", []string{"status"}},
		{4242, 5, "uid 4004 may look, but not change things: that takes membership of group 4243", []string{"drain"}},
		{4242, 5, "membership of group 4243", []string{"failover", "web"}},
		{4242, 5, "membership of group 4243", []string{"reload"}},
	} {
		if code, out := as(c.gid, c.args...); code != c.code || !strings.Contains(out, c.text) {
			t.Errorf("gid %d, vipd %v: exit %d, want %d with %q:\n%s", c.gid, c.args, code, c.code, c.text, out)
		}
	}
	if v := a.vip("web"); v.State != "ACTIVE" || len(a.events("drain")) > 0 {
		t.Errorf("web is %s, drains: %v", v.State, a.events("drain"))
	}
	if err := os.Chown(a.socket, 0, 4243); err != nil {
		t.Fatal(err)
	}
	if code, out := as(4243, "drain", "--wait"); code != 0 {
		t.Fatalf("a member of the admin group: exit %d: %s", code, out)
	}
	_, drained := a.get("/v1/events?type=drain")
	if !regexp.MustCompile(`"actor":\{"name":"uid 4004","process":\{"pid":\d+,"uid":4004,"gid":4243\}\}`).MatchString(drained) {
		t.Errorf("the record names nobody: %s", drained)
	}
}

// TestFailoverDuration: the metrics say how long a takeover took, phase by phase.
func TestFailoverDuration(t *testing.T) {
	p := newPair(t)
	lb1 := p.vipd(p.hosts[0], web(150, 100*time.Millisecond, ""))
	lb1.waitState("web", "ACTIVE")
	lb2 := p.vipd(p.hosts[1], web(100, 100*time.Millisecond, ""))
	lb2.follows("web")
	sum := func(phase string) float64 {
		return lb2.metric(`vipd_failover_duration_seconds_sum{phase="` + phase + `"}`)
	}
	total := `vipd_failover_duration_seconds_count{phase="total"}`
	if n := lb2.metric(total); n != 0 {
		t.Fatalf("%v takeovers in calm", n)
	}
	lb1.kill()
	lb2.waitState("web", "ACTIVE")
	lb2.eventually(5*time.Second, "a takeover to be timed", func() bool { return lb2.metric(total) == 1 })
	detect, parts := sum("detect"), sum("detect")+sum("address")+sum("announce")
	if detect < 0.3 || detect > 5 {
		t.Errorf("detected after %v s, Active_Down_Interval is 0.361 s", detect)
	}
	if whole := sum("total"); whole < parts-1e-3 || whole > parts+1e-3 {
		t.Errorf("total %v s, the phases together %v s", whole, parts)
	}
	t.Logf("detect %.1f ms, address %.2f ms, announce %.2f ms", 1e3*detect, 1e3*sum("address"), 1e3*sum("announce"))
}
