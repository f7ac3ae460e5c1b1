package labs

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// deviceVariable makes this test program a fence agent: it holds the path of the
// socket of a [device].
const deviceVariable = "VIPD_LAB_DEVICE"

// fenceAgent hands what it is asked to a device and ends as that says. It is the
// program that the daemon runs.
func fenceAgent(socket string) int {
	answer, err := consult(socket)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	var exit int
	if _, err := fmt.Sscan(answer, &exit); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(strings.TrimSpace(answer))
	return exit
}

func consult(socket string) (string, error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if _, err := io.Copy(c, os.Stdin); err != nil {
		return "", err
	}
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

// behaviour is what a device does with what it is asked.
type behaviour string

const (
	works behaviour = "works"
	slow  behaviour = "slow"  // cuts some time after it was asked
	lies  behaviour = "lies"  // says that it cut, and reads on
	hangs behaviour = "hangs" // never answers
	dead  behaviour = "dead"  // cannot be reached
)

// slowness is less than attempt_timeout.
const slowness = 700 * time.Millisecond

// device is a switch that cuts the port of a host.
type device struct {
	t      *testing.T
	lab    *testenv.Lab
	plug   *testenv.Host // that it cuts off
	script string        // its agent
	quit   chan struct{}

	mu    sync.Mutex
	is    behaviour
	off   bool
	shots int // times that it was told to cut
}

// newDevice makes a device; the files of it are in dir.
func newDevice(t *testing.T, lab *testenv.Lab, name string, plug *testenv.Host, is behaviour, dir string) *device {
	t.Helper()
	d := &device{t: t, lab: lab, plug: plug, is: is, script: filepath.Join(dir, name), quit: make(chan struct{})}
	socket := d.script + ".sock"
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("#!/bin/sh\n%s=%s exec %s\n", deviceVariable, socket, self)
	if err := os.WriteFile(d.script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { d.serve(c) })
		}
	})
	t.Cleanup(func() {
		close(d.quit)
		_ = l.Close()
		wg.Wait()
	})
	return d
}

// serve answers one agent.
func (d *device) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	action := ""
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), "="); name == "action" {
			action = value
		}
	}
	d.mu.Lock()
	is := d.is
	if action == "off" {
		d.shots++
	}
	d.mu.Unlock()
	switch {
	case is == hangs:
		<-d.quit
		return
	case is == dead:
		_, _ = fmt.Fprintln(c, "1 connection refused")
		return
	case action == "off" && is == slow:
		select {
		case <-time.After(slowness):
		case <-d.quit:
			return
		}
	}
	_, _ = fmt.Fprintln(c, d.act(action, is))
}

// act works the port, and returns how the agent ends.
func (d *device) act(action string, is behaviour) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case action == "off" && is == lies:
		return "0 Success: Powered OFF"
	case action == "off":
		if err := d.lab.PortDown(d.plug); err != nil {
			d.t.Errorf("cut %s off: %v", d.plug.Name, err)
			return "1 port: " + err.Error()
		}
		d.off = true
		return "0 Success: Powered OFF"
	case action == "status" && d.off:
		return "2 Status: OFF"
	case action == "status":
		return "0 Status: ON"
	}
	return "1 no such action"
}

// shot tells how often it was told to cut.
func (d *device) shot() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shots
}
