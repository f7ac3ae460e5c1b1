package disk_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vipd/vipd/pkg/config/disk"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "conf.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	main, local := filepath.Join(dir, "vipd.toml"), filepath.Join(dir, "conf.d", "local.toml")
	write(t, main, "include = [\"conf.d/*.toml\"]\n[vip.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"192.0.2.10\"]\n")
	write(t, local, "[vip.web]\npriority = 150\n")
	c, problems := disk.Load(main)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if got := c.Engine.VIPs["web"].Priority; got != 150 || len(c.Files) != 2 || c.Files[1] != local {
		t.Errorf("priority %d from %v", got, c.Files)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo.toml")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		filepath.Join(dir, "none.toml"): "none.toml: no such file or directory",
		dir:                             "not a regular file",
		fifo:                            "not a regular file",
		"/dev/zero":                     "not a regular file",
	} {
		c, problems := disk.Load(name)
		if err := problems.Err(); c != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for name, mode := range map[string]os.FileMode{"good": 0o400, "group": 0o440, "open": 0o644, "written": 0o602} {
		write(t, filepath.Join(dir, name), "s3cret\r\n")
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "huge"), strings.Repeat("x", 5000))
	for name, text := range map[string]string{"vipd_loaded": "s3cret", "vipd_good": "another"} { // as our unit loads them
		write(t, filepath.Join(dir, name), text)
		if err := os.Chmod(filepath.Join(dir, name), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"good", "group", "loaded", filepath.Join(dir, "good")} {
		if got, err := (disk.Reader{}).Secret(name); got != "s3cret" || err != nil {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{
		"open":      "mode 0644 lets everybody use it: chmod o= it",
		"written":   "mode 0602 lets everybody use it",
		"none":      "read secret " + filepath.Join(dir, "none") + ": no such file or directory",
		"huge":      "longer than 4096 bytes",
		dir:         "not a regular file",
		"/dev/zero": "not a regular file",
	} {
		if got, err := (disk.Reader{}).Secret(name); got != "" || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s holds %q, %v, want %q", name, got, err, want)
		}
	}
}
