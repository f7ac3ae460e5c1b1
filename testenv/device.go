package testenv

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// deviceVariable makes a program the agent of a [FenceDevice]: it holds the path of
// the device's socket.
const deviceVariable = "VIPD_LAB_DEVICE"

// FenceBehaviour is what a [FenceDevice] does with what it is asked.
type FenceBehaviour string

// The behaviours.
const (
	FenceWorks FenceBehaviour = "works"
	FenceSlow  FenceBehaviour = "slow"  // cuts FenceSlowness after it was asked
	FenceLies  FenceBehaviour = "lies"  // says that it cut, and reads on
	FenceHangs FenceBehaviour = "hangs" // never answers
	FenceDead  FenceBehaviour = "dead"  // cannot be reached
)

// FenceSlowness is how long a slow device takes.
const FenceSlowness = 700 * time.Millisecond

// FenceDevice is a switch that cuts the port of a host off, and speaks the fence-agents
// API through a program.
type FenceDevice struct {
	Program string // its agent, for the configuration of whoever may use the device

	plug *Host // that it cuts off
	quit chan struct{}

	mu    sync.Mutex
	is    FenceBehaviour
	off   bool
	shots []time.Time // when it was told to cut
}

// FenceAgent is the agent of a device, if this process was started as one: it hands
// what it is asked to the device, and exit is what the process has to end with. A
// program calls it first of all.
func FenceAgent() (exit int, is bool) {
	socket := os.Getenv(deviceVariable)
	if socket == "" {
		return 0, false
	}
	answer, err := consult(socket)
	if err == nil {
		_, err = fmt.Sscan(answer, &exit)
	}
	if err != nil {
		fmt.Println(err)
		return 1, true
	}
	fmt.Println(strings.TrimSpace(answer))
	return exit, true
}

func consult(socket string) (answer string, err error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if _, err := io.Copy(c, os.Stdin); err != nil {
		return "", err
	}
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		return "", err
	}
	all, err := io.ReadAll(c)
	return string(all), err
}

// FenceDevice makes a device that this host can use, under a name that is its alone.
// It cuts off the host in its plug, and ends with the lab.
func (h *Host) FenceDevice(name string, plug *Host, is FenceBehaviour) (*FenceDevice, error) {
	d := &FenceDevice{plug: plug, is: is, Program: filepath.Join(h.dir, name), quit: make(chan struct{})}
	socket := d.Program + ".sock"
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("make device %s: %w", name, err)
	}
	text := fmt.Sprintf("#!/bin/sh\n%s=%s exec %s\n", deviceVariable, socket, self)
	if err := os.WriteFile(d.Program, []byte(text), 0o755); err != nil {
		return nil, fmt.Errorf("make device %s: %w", name, err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("make device %s: %w", name, err)
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
	h.OnClose(func() error {
		close(d.quit)
		err := l.Close()
		wg.Wait()
		return err
	})
	return d, nil
}

// serve answers one agent.
func (d *FenceDevice) serve(c net.Conn) {
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
		d.shots = append(d.shots, time.Now())
	}
	d.mu.Unlock()
	switch {
	case is == FenceHangs:
		<-d.quit
		return
	case is == FenceDead:
		_, _ = fmt.Fprintln(c, "1 connection refused")
		return
	case action == "off" && is == FenceSlow:
		select {
		case <-time.After(FenceSlowness):
		case <-d.quit:
			return
		}
	}
	_, _ = fmt.Fprintln(c, d.act(action, is))
}

// act works the port, and returns how the agent ends.
func (d *FenceDevice) act(action string, is FenceBehaviour) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case action == "off" && is == FenceLies:
		return "0 Success: Powered OFF"
	case action == "off":
		if err := d.plug.lab.PortDown(d.plug); err != nil {
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

// Become changes how it behaves from now on.
func (d *FenceDevice) Become(is FenceBehaviour) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.is = is
}

// PowerOn has it read on again. The port is set up by [Lab.Heal] or [Lab.PortUp].
func (d *FenceDevice) PowerOn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = false
}

// Off reports whether it has cut its plug off.
func (d *FenceDevice) Off() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off
}

// Shots tells how often it has been told to cut since a time.
func (d *FenceDevice) Shots(since time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, at := range d.shots {
		if !at.Before(since) {
			n++
		}
	}
	return n
}
