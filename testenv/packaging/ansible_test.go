package packaging

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/testenv"
)

// playbook runs the role on this machine, with files in a directory of its own.
type playbook struct {
	t        *testing.T
	dir      string
	commands string // log of what vipd was told
}

func newPlaybook(t *testing.T) *playbook {
	t.Helper()
	testenv.Require(t, "ansible-playbook")
	binary := os.Getenv("VIPD_BIN")
	if binary == "" {
		t.Skip("missing: VIPD_BIN, the binary to try the files with; make test sets it")
	}
	p := &playbook{t: t, dir: t.TempDir()}
	p.commands = filepath.Join(p.dir, "commands")
	// It writes down what it is told, and leaves check-config to vipd.
	p.write("vipd", 0o700, "#!/bin/sh\necho \"$1\" >>"+p.commands+"\n[ \"$1\" = reload ] || exec "+binary+" \"$@\"\n")
	if err := os.Mkdir(filepath.Join(p.dir, "credentials"), 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *playbook) write(name string, mode os.FileMode, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), mode); err != nil {
		p.t.Fatal(err)
	}
}

func (p *playbook) read(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// run plays the role with a configuration, in YAML.
func (p *playbook) run(config string) (string, error) {
	p.t.Helper()
	roles, err := filepath.Abs("../../contrib/ansible/roles")
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("play.yml", 0o600, `
- hosts: localhost
  connection: local
  gather_facts: false
  roles: [vipd]
  vars:
    ansible_python_interpreter: /usr/bin/python3
    vipd_dir: `+p.dir+`
    vipd_group: root
    vipd_command: `+p.dir+`/vipd
    vipd_manage_service: false
    vipd_reload: true
    vipd_secrets: {pair-key: "`+strings.Repeat("k", 32)+`"}
    vipd_config:
`+config)
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ansible-playbook", "play.yml")
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "HOME="+p.dir, "ANSIBLE_ROLES_PATH="+roles, "ANSIBLE_LOCALHOST_WARNING=false", "ANSIBLE_NOCOLOR=1", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestAnsibleRole: the tree becomes a file that means the same, a second run changes
// nothing, and one that check-config refuses takes nobody's place.
func TestAnsibleRole(t *testing.T) {
	p := newPlaybook(t)
	const config = `
      node: {name: lb1}
      vip:
        web:
          interface: eth0
          vrid: 51
          preempt: false
          addresses: [192.0.2.10/24, "2001:db8::10/64"]
          track: {haproxy: fault, "api": -20}
          routes: [{to: 10.9.0.0/16, via: 192.0.2.1, table: 100}]
      check:
        haproxy: {type: http, url: "http://127.0.0.1:8404/healthz", expect: {status: 200-299, body: "he said \"ok\" \\o/"}}
        api: {type: tcp, port: 80}
      pair: {key_file: "{{ vipd_dir }}/credentials/pair-key"}
      peer: {lb2: {addresses: [192.0.2.3]}}
`
	out, err := p.run(config)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	written := p.read("vipd.toml")
	want := `# Written by Ansible: changes here are lost.

[node]
name = "lb1"

[vip.web]
interface = "eth0"
vrid = 51
preempt = false
addresses = ["192.0.2.10/24", "2001:db8::10/64"]
routes = [{ to = "10.9.0.0/16", via = "192.0.2.1", table = 100 }]

[vip.web.track]
haproxy = "fault"
api = -20

[check.haproxy]
type = "http"
url = "http://127.0.0.1:8404/healthz"

[check.haproxy.expect]
status = "200-299"
body = "he said \"ok\" \\o/"

[check.api]
type = "tcp"
port = 80

[pair]
key_file = "` + p.dir + `/credentials/pair-key"

[peer.lb2]
addresses = ["192.0.2.3"]
`
	if diff := cmp.Diff(want, written); diff != "" {
		t.Errorf("vipd.toml (-want +got)\n%s", diff)
	}
	if got := strings.Fields(p.read("commands")); !cmp.Equal(got, []string{"check-config", "reload"}) {
		t.Errorf("vipd was told %v", got)
	}
	if info, err := os.Stat(filepath.Join(p.dir, "credentials/pair-key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}

	if out, err = p.run(config); err != nil || !strings.Contains(out, "changed=0") {
		t.Errorf("a second run: %v\n%s", err, out)
	}
	out, err = p.run(strings.Replace(config, "vrid: 51", "vrid: 0", 1))
	if err == nil || !strings.Contains(out, "vrid") {
		t.Errorf("a broken configuration: %v\n%s", err, out)
	}
	if p.read("vipd.toml") != written {
		t.Error("a broken configuration took the place of the one that runs")
	}
	if strings.Contains(out, strings.Repeat("k", 32)) {
		t.Error("a secret was printed")
	}
}

// TestCloudInit: the configuration in the example is one that vipd takes.
func TestCloudInit(t *testing.T) {
	binary := os.Getenv("VIPD_BIN")
	if binary == "" {
		t.Skip("missing: VIPD_BIN, the binary to try the file with; make test sets it")
	}
	text, err := os.ReadFile("../../contrib/cloud-init/user-data.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "content: |\n")
	if !found || !strings.HasPrefix(string(text), "#cloud-config\n") {
		t.Fatal("it is no cloud-config with a file")
	}
	var lines []string
	for line := range strings.Lines(after) {
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "      ") {
			break
		}
		lines = append(lines, strings.TrimPrefix(line, "      "))
	}
	path := filepath.Join(t.TempDir(), "vipd.toml")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "check-config", path).CombinedOutput(); err != nil || len(lines) < 8 {
		t.Errorf("%v\n%s", err, out)
	}
}
