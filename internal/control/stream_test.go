package control_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// TestFollow streams what happens, from the right place on, of the right types.
func TestFollow(t *testing.T) {
	t.Parallel()
	d := pair()
	client, _, stop := serve(t, d, control.Options{})
	seen := make(chan engine.Record)
	ended := make(chan error, 1)
	go func() {
		ended <- client.Events(soon(t), control.EventQuery{Since: "1", Types: []string{"check", "priority"}, Follow: true}, func(line []byte) error {
			var ev control.Event
			err := json.Unmarshal(line, &ev)
			seen <- ev.Record
			return err
		})
	}()
	if r := <-seen; r.Seq != 2 || r.Type != engine.RecordPriority {
		t.Errorf("first %+v, want record 2", r)
	}
	d.Record(engine.Record{Type: engine.RecordDrain}, engine.Record{Type: engine.RecordCheck, Name: "new"})
	if r := <-seen; r.Seq != 5 || r.Name != "new" {
		t.Errorf("then %+v, want record 5", r)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the daemon's end: %v", err)
	}
}

// TestFollowersBounded refuses one stream too many, and lets it in when another
// has ended.
func TestFollowersBounded(t *testing.T) {
	t.Parallel()
	client, _, _ := serve(t, pair(), control.Options{})
	var bodies []net.Conn
	follow := func() string {
		c, err := net.Dial("unix", client.Socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		bodies = append(bodies, c)
		_, _ = fmt.Fprint(c, "GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	for range 16 {
		if got := follow(); got != "HTTP/1.1 200 OK" {
			t.Fatal(got)
		}
	}
	if got := follow(); got != "HTTP/1.1 503 Service Unavailable" {
		t.Fatal(got)
	}
	_ = bodies[0].Close()
	for deadline := time.Now().Add(5 * time.Second); ; {
		if got := follow(); got == "HTTP/1.1 200 OK" {
			return
		} else if time.Now().After(deadline) {
			t.Fatal("the place of a client that left is not free:", got)
		}
	}
}

// TestFollowerHangsUp frees the place of a client that sent something after its
// request, and went.
func TestFollowerHangsUp(t *testing.T) {
	t.Parallel()
	d := pair()
	client, _, _ := serve(t, d, control.Options{})
	for range 16 {
		c, err := net.Dial("unix", client.Socket)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprint(c, "GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
			t.Fatal(line, err)
		}
		_, _ = fmt.Fprint(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
		_ = c.Close()
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		if status := requestHead(t, client, "/v1/events?follow=1"); status == "200" {
			return
		} else if time.Now().After(deadline) {
			t.Fatal("the places of clients that left are not free:", status)
		}
	}
}

// requestHead asks for a path and returns the status of the answer.
func requestHead(t *testing.T, client control.Client, path string) string {
	t.Helper()
	c, err := net.Dial("unix", client.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.Fields(line)[1]
}

// TestRecordTypes compares the types that events can be filtered by with those
// that the engine has.
func TestRecordTypes(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../../pkg/engine/action.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "RecordType" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Error(err)
			}
			want = append(want, text)
		}
		return true
	})
	got := control.RecordTypes()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("-engine +control:\n%s", diff)
	}
}
