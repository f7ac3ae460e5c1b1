package check

import (
	"reflect"
	"regexp"
	"testing"
	"time"
)

func TestTarget(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ target, url, socket, back string }{
		{"https://www.example.net/a:b", "https://www.example.net/a:b", "", "https://www.example.net/a:b"},
		{"unix:/run/app.sock:/healthz?a=b:c", "http://localhost/healthz?a=b:c", "/run/app.sock", "unix:/run/app.sock:/healthz?a=b:c"},
		{"unix:/run/app.sock", "http://localhost/", "/run/app.sock", "unix:/run/app.sock:/"},
	} {
		url, socket := SplitTarget(tt.target)
		if url != tt.url || socket != tt.socket {
			t.Errorf("%s is %q on %q, want %q on %q", tt.target, url, socket, tt.url, tt.socket)
		}
		if back := (HTTP{URL: url, Socket: socket}).Target(); back != tt.back {
			t.Errorf("%s came back as %s, want %s", tt.target, back, tt.back)
		}
	}
}

func TestGoodStatus(t *testing.T) {
	t.Parallel()
	h := HTTP{Status: []StatusRange{{200, 299}, {304, 304}}}
	for code, want := range map[int]bool{199: false, 200: true, 299: true, 300: false, 303: false, 304: true, 305: false} {
		if got := h.GoodStatus(code); got != want {
			t.Errorf("%d: %v, want %v", code, got, want)
		}
	}
	if got := h.Status[0].String() + "," + h.Status[1].String(); got != "200-299,304" {
		t.Errorf("written as %s", got)
	}
}

// A reload that compiles the same expression again changes nothing: a check that
// is known stays known.
func TestReconfigureWithExpression(t *testing.T) {
	t.Parallel()
	cfg := func(expr string) Config {
		return Config{Spec: TCP{Address: "127.0.0.1:25", Regexp: regexp.MustCompile(expr)}, Interval: time.Second, Timeout: time.Second, Rise: 1, Fall: 1}
	}
	now := time.Unix(1000, 0)
	s := New(cfg("^220 .*(ok|fine)$"), NewPace(now, "lb1", "mail"), now)
	s.Started(now)
	s.Observe(now, true)
	if s.Reconfigure(cfg("^220 .*(ok|fine)$"), now); !s.Known() {
		t.Error("the same expression made it unknown")
	}
	if s.Reconfigure(cfg("^221 .*(ok|fine)$"), now); s.Known() {
		t.Error("another expression left it known")
	}
	if !reflect.DeepEqual(cfg("a+"), cfg("a+")) {
		t.Error("the same expression is not equal to itself")
	}
}
