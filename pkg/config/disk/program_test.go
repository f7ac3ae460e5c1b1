package disk_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vipd/vipd/pkg/config/disk"
)

func TestProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	make := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.Mkdir(path, 0o700)
		} else {
			err = os.WriteFile(path, nil, 0o600)
		}
		if err == nil {
			err = os.Chmod(path, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, plain, open := make("good", 0o755), make("plain", 0o644), make("open", 0o777)
	openDir, sticky := make("opendir/", 0o777), make("sticky/", 0o777|os.ModeSticky)
	inOpen, inSticky := make("opendir/hook", 0o755), make("sticky/hook", 0o755)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(inOpen, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct{ writable, err string }{
		good:                        {},
		inSticky:                    {},
		plain:                       {err: "not executable"},
		sticky:                      {err: "not executable"},
		filepath.Join(dir, "none"):  {err: "no such file or directory"},
		filepath.Join(good, "none"): {err: "not a directory"},
		open:                        {writable: open},
		inOpen:                      {writable: openDir},
		link:                        {writable: openDir},
	} {
		writable, err := disk.Reader{}.Program(path)
		if writable != want.writable || (err == nil) != (want.err == "") || err != nil && !strings.Contains(err.Error(), want.err) {
			t.Errorf("%s: %q, %v, want %q, %q", path, writable, err, want.writable, want.err)
		}
	}
}
