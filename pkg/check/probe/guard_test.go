package probe

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/testenv"
)

func cancelled(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// child is a program that does nothing, under a name of the test's.
type child struct {
	cmd  *exec.Cmd
	once sync.Once
}

// sleeper starts one, and returns the number of its process.
func sleeper(t *testing.T, name string) (pid string, c *child) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink("/bin/sleep", path); err != nil {
		t.Fatal(err)
	}
	c = &child{cmd: exec.Command(path, "1000")}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.end(t) })
	return strconv.Itoa(c.cmd.Process.Pid), c
}

// kill kills it, and leaves a zombie.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// end kills and reaps it.
func (c *child) end(t *testing.T) {
	t.Helper()
	c.once.Do(func() {
		_ = c.cmd.Process.Kill() // it may have been killed before
		_ = c.cmd.Wait()         // killed
	})
}

// The end of a process is told though it is a zombie still, and so is the next
// one, all without waiting for an interval.
func TestWatchPIDFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run", "x.pid")
	s := watching(t, slow(check.Process{PIDFile: path}))
	s.expect(t, "false "+path+" does not exist")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		pid, c := sleeper(t, "vipd-pidfile")
		writeFile(t, path, pid+"\n")
		s.until(t, "true process "+pid+" of "+path+" runs")
		c.kill(t)
		s.expect(t, "false process "+pid+" of "+path+" is gone")
		c.end(t)
	}
	writeFile(t, path, "soon")
	s.until(t, "false "+path+` holds "soon", not a whole number`)
	writeFile(t, path, "-1")
	s.until(t, "false "+path+" holds -1, not the number of a process")
	removeFile(t, path)
	s.until(t, "false "+path+" does not exist")
}

// A pid file that is written anew while its process runs changes nothing, and
// one that leads to another process does.
func TestWatchPIDFileChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.pid")
	one, first := sleeper(t, "vipd-one")
	two, second := sleeper(t, "vipd-two")
	writeFile(t, path, one)
	s := watching(t, slow(check.Process{PIDFile: path}))
	s.expect(t, "true process "+one+" of "+path+" runs")
	for range 20 {
		writeFile(t, path, one+"\n")
	}
	writeFile(t, path, two)
	s.expect(t, "true process "+two+" of "+path+" runs")
	first.end(t)
	second.kill(t)
	s.expect(t, "false process "+two+" of "+path+" is gone")
}

func TestWatchName(t *testing.T) {
	t.Parallel()
	const name = "vipd-watch-name-that-is-longer-than-comm"
	s := watching(t, slow(check.Process{Name: name, AtLeast: 2}))
	s.expect(t, "false no process "+name)
	_, one := sleeper(t, name)
	s.expect(t, "false 1 of 2 processes "+name)
	_, two := sleeper(t, name)
	s.expect(t, "true 2 or more processes "+name+" run")
	_, three := sleeper(t, name)
	one.kill(t) // three replaces it
	two.kill(t)
	s.expect(t, "false 1 of 2 processes "+name)
	three.kill(t)
	s.expect(t, "false no process "+name)
}

// Who is meant is looked at in every way.
func TestProcess(t *testing.T) {
	t.Parallel()
	const name = "vipd-who"
	pid, c := sleeper(t, name)
	dead, gone := sleeper(t, "vipd-dead")
	gone.kill(t)
	dir := t.TempDir()
	file, deadFile := filepath.Join(dir, "pid"), filepath.Join(dir, "dead")
	writeFile(t, file, pid)
	writeFile(t, deadFile, dead)
	if err := awaitDead(gone.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		spec check.Process
		ok   bool
		want string
	}{
		{"name", check.Process{Name: name}, true, name + " runs"},
		{"name and owner", check.Process{Name: name, Owner: "root"}, true, name + " of root runs"},
		{"owner by number", check.Process{Name: name, Owner: "0"}, true, name + " of 0 runs"},
		{"another's", check.Process{Name: name, Owner: "nobody"}, false, "no process " + name + " of nobody"},
		{"no such user", check.Process{Name: name, Owner: "no-such-user"}, false, "there is no user no-such-user"},
		{"part of the name", check.Process{Name: name[:5]}, false, "no process vipd-"},
		{"a zombie", check.Process{Name: "vipd-dead"}, false, "no process vipd-dead"},
		{"too few", check.Process{Name: name, AtLeast: 3}, false, "1 of 3 processes " + name},
		{"pid file", check.Process{PIDFile: file}, true, "process " + pid + " of " + file + " runs"},
		{"pid file of a zombie", check.Process{PIDFile: deadFile}, false, "process " + dead + " of " + deadFile + " is gone"},
		{"pid file with its name", check.Process{PIDFile: file, Name: name, Owner: "root"}, true, "process " + pid + " of " + file + " runs"},
		{"pid file with another name", check.Process{PIDFile: file, Name: "haproxy"}, false, "process " + pid + " of " + file + " is not haproxy"},
		{"pid file with another owner", check.Process{PIDFile: file, Owner: "nobody"}, false, "process " + pid + " of " + file + " is not nobody's"},
		{"no pid file", check.Process{PIDFile: dir + "/no"}, false, dir + "/no does not exist"},
		{"bad address", check.Process{Name: name, Listen: "here:80"}, false, "here:80 is no address to listen on"},
		{"bad port", check.Process{Name: name, ListenUDP: ":http"}, false, ":http is no address to listen on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Once(t.Context(), config(tt.spec, 20*time.Second), Settings{})
			if got.OK != tt.ok || got.Detail != tt.want {
				t.Errorf("got %v %q, want %v %q", got.OK, got.Detail, tt.ok, tt.want)
			}
		})
	}
	t.Cleanup(func() { c.end(t) })
}

// awaitDead returns when a child is a zombie.
func awaitDead(pid int) error {
	return unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
}

// A socket that is closed is told at once, though its process lives on.
func TestWatchListen(t *testing.T) {
	testenv.Require(t)
	pid, _ := sleeper(t, "vipd-listen")
	for _, tt := range []struct {
		name, network, address string
		spec                   check.Process
		is                     string
	}{
		{"TCP on any address", "tcp4", "0.0.0.0:7001", check.Process{Listen: ":7001"}, "TCP port 7001"},
		{"TCP over both families", "tcp", "[::]:7002", check.Process{Listen: "127.0.0.1:7002"}, "TCP 127.0.0.1:7002"},
		{"TCP over IPv6", "tcp6", "[::1]:7003", check.Process{Listen: "[::1]:7003"}, "TCP [::1]:7003"},
		{"UDP", "udp4", "127.0.0.1:7004", check.Process{ListenUDP: ":7004"}, "UDP port 7004"},
		{"UDP over IPv6", "udp6", "[::1]:7005", check.Process{ListenUDP: "[::1]:7005"}, "UDP [::1]:7005"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.PIDFile = filepath.Join(t.TempDir(), "PID")
			writeFile(t, tt.spec.PIDFile, pid)
			runs := "process " + pid + " of " + tt.spec.PIDFile + " runs"
			s := watching(t, slow(tt.spec))
			s.expect(t, "false "+runs+", but nobody listens on "+tt.is)
			for range 3 {
				closing := openSocket(t, tt.network, tt.address)
				s.expect(t, "true "+runs+", listens on "+tt.is)
				closing()
				s.expect(t, "false "+runs+", but nobody listens on "+tt.is)
			}
		})
	}
}

// openSocket opens a socket.
func openSocket(t *testing.T, network, address string) (closing func()) {
	t.Helper()
	if network[0] == 'u' {
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			t.Fatal(err)
		}
		return func() { _ = conn.Close() }
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = l.Close() }
}

func TestListener(t *testing.T) {
	testenv.Require(t)
	defer openSocket(t, "tcp4", "127.0.0.1:7101")()
	defer openSocket(t, "tcp6", "[::]:7102")() // IPV6_V6ONLY
	defer openSocket(t, "tcp", "[::]:7103")()
	defer openSocket(t, "udp4", "0.0.0.0:7104")()
	conn, err := net.Dial("tcp", "127.0.0.1:7101")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, client, _ := net.SplitHostPort(conn.LocalAddr().String())
	for _, tt := range []struct {
		tcp, udp string
		want     bool
	}{
		{":7101", "", true},
		{"127.0.0.1:7101", "", true},
		{"127.0.0.2:7101", "", false},
		{"[::1]:7101", "", false},
		{":7102", "", true},
		{"[::1]:7102", "", true},
		{"127.0.0.1:7102", "", false},
		{"127.0.0.1:7103", "", true},
		{"[2001:db8::1]:7103", "", true},
		{":7104", "", false},
		{"", ":7104", true},
		{"", "192.0.2.1:7104", true},
		{"", "[::1]:7104", false},
		{"", ":7101", false},
		{":" + client, "", false}, // a connection does not listen
	} {
		list, err := listenersOf(tt.tcp, tt.udp)
		if err != nil || len(list) != 1 {
			t.Fatalf("%v: %v", tt, err)
		}
		if got, err := list[0].open(); got != tt.want || err != nil {
			t.Errorf("%v: got %v, %v", list[0], got, err)
		}
	}
}

// Of all the sockets that are closed on a host, only those without a peer on the
// port are told.
func TestClosingsAreFiltered(t *testing.T) {
	testenv.Require(t)
	l, err := net.Listen("tcp4", "127.0.0.1:7201")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	ctx, cancel := cancelled(t)
	news, ended := make(chan struct{}, 100), make(chan error)
	go func() {
		ended <- listener{port: 7201}.closings(ctx, func() { news <- struct{}{} })
	}()
	<-news // it has begun
	other := openSocket(t, "tcp4", "127.0.0.1:7202")
	for range 20 {
		conn, err := net.Dial("tcp", "127.0.0.1:7201")
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	other()
	_ = l.Close()
	<-news
	if len(news) > 0 {
		t.Errorf("told %d closings besides", len(news))
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	const rest = " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19987 20 21\n"
	for _, tt := range []struct {
		text string
		want stat
	}{
		{"12 (haproxy) S" + rest, stat{comm: "haproxy", start: 19987, alive: true}},
		{"12 (a) (b) c) R" + rest, stat{comm: "a) (b) c", start: 19987, alive: true}},
		{"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 19", stat{comm: "kthreadd", start: 19, kernel: true, alive: true}},
		{"12 (haproxy) Z" + rest, stat{}},
		{"12 (haproxy) X" + rest, stat{}},
		{"12 (haproxy) S 1 2", stat{}},
		{"12 haproxy S" + rest, stat{}},
		{"", stat{}},
	} {
		if got := parseStat([]byte(tt.text)); got != tt.want {
			t.Errorf("%q: got %+v", tt.text, got)
		}
	}
}

func TestArrived(t *testing.T) {
	t.Parallel()
	event := func(what uint32, data ...uint32) []byte {
		b := make([]byte, connectorStart+40)
		native.PutUint32(b[connectorStart:], what)
		for i, n := range data {
			native.PutUint32(b[connectorStart+16+4*i:], n)
		}
		return b
	}
	for _, tt := range []struct {
		name string
		msg  []byte
		pid  int
		ok   bool
	}{
		{"fork", event(eventFork, 1, 1, 77, 77), 77, true},
		{"a thread", event(eventFork, 77, 77, 78, 77), 77, false},
		{"exec", event(eventExec, 77, 77), 77, true},
		{"name of a thread", event(eventComm, 78, 77), 77, false},
		{"acknowledgement", event(eventAck, 0), 0, false},
		{"cut", event(eventExec, 77, 77)[:connectorStart+16], 0, false},
	} {
		if pid, ok := arrived(tt.msg); ok != tt.ok || ok && pid != tt.pid {
			t.Errorf("%s: got %d %v", tt.name, pid, ok)
		}
	}
}

// In a network namespace of its own the kernel does not tell of processes, and
// says so.
func TestArrivalsRefused(t *testing.T) {
	testenv.Require(t)
	err := arrivals(t.Context(), func() { t.Error("began") }, func(int) {})
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
}
