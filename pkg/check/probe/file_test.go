package probe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

func TestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dangling, loop := filepath.Join(dir, "dangling"), filepath.Join(dir, "loop")
	for link, target := range map[string]string{dangling: filepath.Join(dir, "gone"), loop: loop} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	long := "/" + strings.Repeat("x", 300)
	for _, tt := range []struct {
		name   string
		path   string
		exists bool // verdict when it should exist
		absent bool // verdict when it should not
		detail string
	}{
		{"there", there, true, false, there + " exists"},
		{"a directory", dir, true, false, dir + " exists"},
		{"gone", dir + "/gone", false, true, dir + "/gone does not exist"},
		{"no directory", dir + "/no/gone", false, true, dir + "/no/gone does not exist"},
		{"below a file", there + "/gone", false, true, there + "/gone does not exist"},
		{"link to nothing", dangling, false, true, dangling + " does not exist"},
		{"cannot tell: loop", loop, false, false, "look at " + loop + ": too many levels of symbolic links"},
		{"cannot tell: too long", long, false, false, "look at " + long + ": file name too long"},
		{"cannot tell: NUL", "/a\x00b", false, false, "look at /a\x00b: invalid argument"},
		{"no path", "", false, false, "no path to look at"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for absent, want := range map[bool]bool{false: tt.exists, true: tt.absent} {
				got := Once(t.Context(), config(check.File{Path: tt.path, Absent: absent}, time.Second), Settings{})
				if got.OK != want || got.Detail != tt.detail {
					t.Errorf("absent %v: got %v %q, want %v %q", absent, got.OK, got.Detail, want, tt.detail)
				}
			}
		})
	}
}

// odd is a spec that no probe is for.
type odd struct{ name string }

func (o odd) Type() string { return o.name }

func TestNoProbe(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		spec check.Spec
		want string
	}{
		{odd{"smoke"}, "no probe for type smoke"},
		{odd{"tcp"}, "no probe for probe.odd"},
		{nil, "no probe: the check has no type"},
	} {
		if got := Once(t.Context(), config(tt.spec, time.Second), Settings{}); got.OK || got.Detail != tt.want {
			t.Errorf("got %v %q, want %q", got.OK, got.Detail, tt.want)
		}
	}
}
