package control_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/internal/control/controltest"
	"github.com/vipd/vipd/pkg/engine"
)

// TestCrowd holds 1000 clients off that send nothing, half a request, one byte
// now and then, or that never read, while an honest one is answered.
func TestCrowd(t *testing.T) {
	t.Parallel()
	client, _, _ := serve(t, pair(), control.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	var crowd sync.WaitGroup
	defer crowd.Wait()
	defer cancel()
	starts := []string{
		"",
		"GET /v1/status HTTP/1.1\r\nHost:",
		"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{",
		"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
	}
	joined := make(chan struct{}, 1000)
	for i := range 1000 {
		crowd.Go(func() {
			c, err := net.Dial("unix", client.Socket)
			joined <- struct{}{}
			if err != nil {
				return // the backlog is full, which is fine
			}
			defer func() { _ = c.Close() }()
			_, _ = fmt.Fprint(c, starts[i%len(starts)])
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					if _, err := fmt.Fprint(c, "x"); err != nil {
						return // dropped
					}
				case <-ctx.Done():
					return
				}
			}
		})
	}
	for range 1000 {
		<-joined
	}
	for range 5 {
		start := time.Now()
		if _, err := client.Status(soon(t)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("an honest client waited %s", took)
		}
	}
}

// TestBoundedConnections keeps no more than 64 connections.
func TestBoundedConnections(t *testing.T) {
	t.Parallel()
	client, _, _ := serve(t, pair(), control.Options{})
	var conns []net.Conn
	for range 80 {
		c, err := net.Dial("unix", client.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		conns = append(conns, c)
	}
	for i, c := range conns[:16] {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d is still open: %v", i, err)
		}
	}
}

// TestSlowReader drops a client that follows but does not read, and the server
// still ends in time.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	d := pair()
	client, _, stop := serve(t, d, control.Options{})
	c, err := net.Dial("unix", client.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprint(c, "GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	big := engine.Record{Type: engine.RecordCheck, Text: strings.Repeat("x", 4096)}
	for range 1000 {
		d.Record(big)
	}
	start := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("the server took %s to end", took)
	}
}

// TestStaleSocket replaces a socket that nobody listens on, and nothing else.
func TestStaleSocket(t *testing.T) {
	t.Parallel()
	listen := func(path string) error {
		srv := control.New(pair(), control.Options{Socket: path})
		if err := srv.Listen(); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		return srv.Run(ctx)
	}
	stale := filepath.Join(t.TempDir(), "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	if err := listen(stale); err != nil {
		t.Errorf("a stale socket: %v", err)
	}

	client, _, _ := serve(t, pair(), control.Options{})
	if err := listen(client.Socket); err == nil || !strings.Contains(err.Error(), "another vipd answers there") {
		t.Errorf("a socket in use: %v", err)
	}
	if _, err := client.Status(soon(t)); err != nil {
		t.Errorf("the first daemon: %v", err)
	}

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := listen(file); err == nil || !strings.Contains(err.Error(), "a file that is no socket is in the way") {
		t.Errorf("a file: %v", err)
	}
	if err := listen("/" + strings.Repeat("x", 107)); err == nil || !strings.Contains(err.Error(), "the path has 108 bytes, a socket's may have 107") {
		t.Errorf("a long path: %v", err)
	}
}

// TestSocketFile has the right mode while it is there, its directory is made,
// and it is gone at the end, unless somebody else's has taken its place.
func TestSocketFile(t *testing.T) {
	t.Parallel()
	client, _, stop := serve(t, pair(), control.Options{})
	info, err := os.Stat(client.Socket)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != os.ModeSocket|0o660 {
		t.Errorf("mode %s", got)
	}
	if dir, err := os.Stat(filepath.Dir(client.Socket)); err != nil || dir.Mode().Perm() != 0o755 {
		t.Errorf("directory %v, %v", dir, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(client.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}

	client, _, stop = serve(t, pair(), control.Options{})
	if err := os.Remove(client.Socket); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(client.Socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(client.Socket); err != nil {
		t.Errorf("somebody else's file: %v", err)
	}
}

// TestUnreachable tells the ways in which there is no daemon apart.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var un *control.UnreachableError
	_, err := control.Client{Socket: filepath.Join(dir, "none")}.Status(soon(t))
	if !errors.As(err, &un) || !errors.Is(err, syscall.ENOENT) || !strings.HasSuffix(err.Error(), "does not exist") {
		t.Errorf("no socket: %v", err)
	}
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	if _, err = (control.Client{Socket: stale}).Status(soon(t)); !errors.As(err, &un) || !strings.Contains(err.Error(), "nobody answers") {
		t.Errorf("stale socket: %v", err)
	}

	rude := filepath.Join(dir, "rude") // accepts and hangs up
	l, err = net.ListenUnix("unix", &net.UnixAddr{Name: rude})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	var calls atomic.Int32
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			calls.Add(1)
			_ = c.Close()
		}
	}()
	if _, err = (control.Client{Socket: rude}).Status(soon(t)); !errors.As(err, &un) || calls.Load() != 5 {
		t.Errorf("hung up %d times: %v", calls.Load(), err)
	}
	if _, err = (control.Client{Socket: rude}).Undrain(soon(t), nil); !errors.As(err, &un) || calls.Load() != 6 {
		t.Errorf("a change that was cut off was sent %d times: %v", calls.Load()-5, err)
	}

	hang, _, _ := serve(t, &controltest.Daemon{Doc: controltest.Pair(), Hang: true}, control.Options{})
	ctx, cancel := context.WithTimeout(soon(t), 50*time.Millisecond)
	defer cancel()
	if _, err := hang.Failover(ctx, "web"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
}
