package labs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vipd/vipd/testenv"
)

// trial is what the labs look at of vipd.lab-test/v1.
type trial struct {
	Schema    string `json:"schema"`
	OK        bool   `json:"ok"`
	Problem   string `json:"problem"`
	Scenarios []struct {
		Name    string `json:"name"`
		Host    string `json:"host"`
		VIP     string `json:"vip"`
		OK      bool   `json:"ok"`
		Problem string `json:"problem"`
	} `json:"scenarios"`
}

// labTest runs vipd lab test with two files, and demands its exit code.
func labTest(t *testing.T, want int, config func(i int) string, args ...string) (doc trial) {
	t.Helper()
	testenv.Require(t)
	dir := t.TempDir()
	list := append([]string{"lab", "test", "--json"}, args...)
	for i := range 2 {
		path := filepath.Join(dir, fmt.Sprintf("lb%d.toml", i+1))
		if err := os.WriteFile(path, []byte(config(i)), 0o600); err != nil {
			t.Fatal(err)
		}
		list = append(list, path)
	}
	var out, errs bytes.Buffer
	cmd := exec.Command(binary, list...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		t.Fatalf("%v, want exit code %d\n%s%s", err, want, out.String(), errs.String())
	}
	if want > 1 {
		return doc
	}
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil || doc.Schema != "vipd.lab-test/v1" {
		t.Fatalf("%v in %s", err, out.String())
	}
	for _, s := range doc.Scenarios {
		t.Logf("%+v", s)
	}
	return doc
}

// tried is the file of a host of a pair that talks.
func tried(i int, more string) string {
	return fmt.Sprintf("[pair]\nkey_file = \"no-such-key\"\n[peer.lb%d]\naddresses = [\"192.0.2.%d\"]\n", 2-i, 3-i) +
		fmt.Sprintf("[vip.web]\ninterface = \"bond0.7\"\nvrid = 51\npriority = %d\nadvert_interval = \"100ms\"\naddresses = [\"192.0.2.100/24\"]\n", 150-50*i) + more
}

// TestLabTest: a good pair passes every scenario. Its key, its check and its
// interface are not of this machine.
func TestLabTest(t *testing.T) {
	doc := labTest(t, 0, func(i int) string {
		return tried(i, "track = [\"service\"]\n[check.service]\ntype = \"tcp\"\nport = 1\n")
	})
	var names []string
	for _, s := range doc.Scenarios {
		names = append(names, strings.TrimSuffix(s.Name+" "+s.Host, " "))
	}
	if got := strings.Join(names, ", "); !doc.OK || got != "boot, drain lb1, kill lb1, cut lb1" {
		t.Errorf("%t, %s", doc.OK, got)
	}
}

// TestLabTestFails: files that cannot be a pair fail, and say why.
func TestLabTestFails(t *testing.T) {
	for name, tc := range map[string]struct {
		config func(i int) string
		args   []string
		want   string
	}{
		"two virtual routers": {func(i int) string {
			return strings.Replace(tried(i, ""), "= 51", fmt.Sprintf("= %d", 51+i), 1)
		}, nil, "vip.web has vrid 51 in "},
		"a spare that is not well": {func(i int) string {
			return tried(i, fmt.Sprintf("track = [\"service\"]\n[check.service]\ntype = \"file\"\npath = \"/proc/self\"\nexists = %t\n", i == 0))
		}, []string{"--with-checks"}, "lb2 is FAULT"},
	} {
		t.Run(name, func(t *testing.T) {
			doc := labTest(t, 1, tc.config, tc.args...)
			text := doc.Problem
			for _, s := range doc.Scenarios {
				if !s.OK {
					text += s.Name + ": " + s.Problem + "\n"
				}
			}
			if doc.OK || !strings.Contains(text, tc.want) {
				t.Errorf("no %q in %s", tc.want, text)
			}
			t.Log(text)
		})
	}
	labTest(t, 4, func(int) string { return "[vip.web]\nvrid = 300\n" })
}
