package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/check"
)

func TestWatchedChecks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, table string
		want        check.Spec
	}{
		{"name", `type = "process"
name = "haproxy"`, check.Process{Name: "haproxy", AtLeast: 1}},
		{"everything about a name", `type = "process"
name = "php-fpm"
owner = "www-data"
processes = 4
listen = "[2001:db8::1]:443"
listen_udp = ":443"`, check.Process{Name: "php-fpm", Owner: "www-data", AtLeast: 4, Listen: "[2001:db8::1]:443", ListenUDP: ":443"}},
		{"pid file", `type = "process"
pid_file = "/run/x.pid"
name = "x"`, check.Process{PIDFile: "/run/x.pid", Name: "x", AtLeast: 1}},
		{"main process", `type = "process"
unit = "haproxy"`, check.Process{Unit: "haproxy.service", AtLeast: 1}},
		{"unit", `type = "unit"
unit = "getty@tty1"`, check.Unit{Name: "getty@tty1.service"}},
		{"unit of another type", `type = "unit"
unit = "docker.socket"
sub_state = "listening"`, check.Unit{Name: "docker.socket", SubState: "listening"}},
		{"a dot is no suffix", `type = "unit"
unit = "a.b"`, check.Unit{Name: "a.b.service"}},
		{"value", `type = "file"
path = "/run/load"
value = true`, check.File{Path: "/run/load", Value: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := parse(t, `
[vip.web]
interface = "eth0"
vrid      = 51
addresses = ["192.0.2.10/24"]
track     = ["it"]
[check.it]
`+tt.table)
			if diff := cmp.Diff(tt.want, c.Engine.Checks["it"].Spec); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestWatchedChecksDiffer(t *testing.T) {
	t.Parallel()
	from := parse(t, dependent)
	to := parse(t, dependent)
	a, b, net := to.Engine.Checks["a"], to.Engine.Checks["b"], to.Engine.Checks["net"]
	a.Spec = check.Process{Name: "haproxy", Owner: "root", AtLeast: 2, Listen: ":443", ListenUDP: ":443"}
	b.Spec = check.Unit{Name: "haproxy.service", SubState: "running"}
	net.Spec = check.File{Path: "/run/net", Value: true}
	to.Engine.Checks["a"], to.Engine.Checks["b"], to.Engine.Checks["net"] = a, b, net
	want := []string{
		"check.a: address: removed 127.0.0.1:1", "check.a: listen: added :443", "check.a: listen_udp: added :443",
		"check.a: name: added haproxy", "check.a: owner: added root", "check.a: processes: added 2", "check.a: type tcp -> process",
		"check.b: address: removed 127.0.0.1:2", "check.b: sub_state: added running", "check.b: type tcp -> unit",
		"check.b: unit: added haproxy.service", "check.net: value: added true",
	}
	if diff := cmp.Diff(want, Diff(from, to)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
