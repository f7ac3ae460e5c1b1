package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vipd/vipd/testenv"
)

func TestMain(m *testing.M) {
	var err error
	if shelf, err = os.MkdirTemp("", "packages"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := testenv.Main(m)
	_ = os.RemoveAll(shelf)
	os.Exit(code)
}

// shelf is where packages are kept during the tests.
var shelf string

// built are the packages that there are already: each takes some seconds.
var built = map[string]string{}

// pack returns the path of a package of a version.
func pack(t *testing.T, format, version string) string {
	t.Helper()
	key := format + version
	if built[key] == "" {
		built[key] = build(t, format, version, shelf)
	}
	return built[key]
}

// build makes a package in a directory and returns its path.
func build(t *testing.T, format, version, dir string) string {
	t.Helper()
	binary := os.Getenv("VIPD_BIN")
	if binary == "" {
		t.Skip("missing: VIPD_BIN, the binary to pack; make test sets it")
	}
	cmd := exec.Command("../../contrib/packaging/build", format, binary, runtime.GOARCH, version, dir)
	cmd.Env = append(os.Environ(), "NFPM="+nfpm(t))
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build %s: %v\n%s%s", format, err, out, errors.String())
	}
	return strings.TrimSpace(string(out))
}

// nfpm is the program that make builds.
func nfpm(t *testing.T) string {
	t.Helper()
	found := os.Getenv("NFPM")
	if found == "" {
		list, _ := filepath.Glob("../../bin/tools/nfpm-*")
		found = strings.Join(list, " ")
	}
	path, err := exec.LookPath(found)
	if err != nil {
		testenv.Missing(t, "nfpm", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// root is a host on which nothing is installed, with a systemd that only notes
// what is asked of it.
type root struct {
	t     *testing.T
	dir   string
	bin   string // before everything else in PATH
	calls string // file with what was asked of systemctl
}

// newRoot makes a root.
func newRoot(t *testing.T) *root {
	t.Helper()
	r := &root{t: t, dir: t.TempDir(), bin: t.TempDir()}
	r.calls = filepath.Join(r.bin, "calls")
	for _, dir := range []string{"run/systemd/system", "var/lib/dpkg/info", "var/lib/dpkg/updates", "etc", "usr/bin"} {
		if err := os.MkdirAll(r.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.write("var/lib/dpkg/status", "")
	script := "#!/bin/sh\necho \"$*\" >>" + r.calls + "\ncase \"$*\" in *is-active*) [ -e " + r.path("run/active") + " ] ;; esac\n"
	if err := os.WriteFile(filepath.Join(r.bin, "systemctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return r
}

// path is a file of the root.
func (r *root) path(name string) string { return filepath.Join(r.dir, name) }

// write makes a file in the root.
func (r *root) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// exists reports whether the root has a file.
func (r *root) exists(name string) bool {
	_, err := os.Lstat(r.path(name))
	return err == nil
}

// run runs a program of this machine for the root, and returns what it printed.
func (r *root) run(name string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command(name, args...)
	path := "PATH=" + r.bin + ":" + os.Getenv("PATH") + ":/usr/sbin:/sbin"
	cmd.Env = append(os.Environ(), path, "DPKG_ROOT="+r.dir, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// dpkg runs dpkg on the root. Its scripts run here, and are told where the root
// is.
func (r *root) dpkg(args ...string) string {
	r.t.Helper()
	return r.run("dpkg", append([]string{"--root=" + r.dir, "--force-script-chrootless", "--log=/dev/null"}, args...)...)
}

// asked is what systemctl was asked since the last time, without the questions.
func (r *root) asked() []string {
	r.t.Helper()
	text, err := os.ReadFile(r.calls)
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.calls, nil, 0o644); err != nil {
		r.t.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "is-active") {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}
