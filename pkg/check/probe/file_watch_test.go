package probe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/check"
)

// change is one of the file system, and what is told of it.
type change struct {
	do   func(t *testing.T, dir string)
	want string // DIR stands for the directory
}

func making(path string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func writing(path, text string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, path), text) }
}

func removing(path string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { removeFile(t, filepath.Join(dir, path)) }
}

func moving(from, to string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
}

// linking makes a link, over another one like kubelet does.
func linking(target, path string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, path)
		if err := os.Symlink(strings.ReplaceAll(target, "DIR", dir), path+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
}

func inOrder(list ...func(*testing.T, string)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		for _, do := range list {
			do(t, dir)
		}
	}
}

// Everything that can change what a path leads to is told, and nothing else:
// each step is told as exactly one thing.
func TestWatchFile(t *testing.T) {
	t.Parallel()
	const gone, there = "false DIR/a/f does not exist", "true DIR/a/f exists"
	exists := check.File{Path: "DIR/a/f"}
	value := check.File{Path: "DIR/a/f", Value: true}
	for _, tt := range []struct {
		name  string
		spec  check.File
		steps []change
	}{
		{"comes and goes", exists, []change{
			{making("a"), gone}, {writing("a/f", ""), there}, {removing("a/f"), gone}, {making("a/f"), there},
		}},
		{"absence is wanted", check.File{Path: "DIR/f", Absent: true}, []change{
			{making("."), "true DIR/f does not exist"}, {writing("f", ""), "false DIR/f exists"}, {removing("f"), "true DIR/f does not exist"},
		}},
		{"no directory yet", exists, []change{
			{removing("a"), gone}, {inOrder(making("a"), writing("a/f", "")), there}, {removing("a"), gone}, {inOrder(making("a"), writing("a/f", "")), there},
		}},
		{"several directories are missing", check.File{Path: "DIR/1/2/3/f"}, []change{
			{removing("1"), "false DIR/1/2/3/f does not exist"}, {inOrder(making("1/2/3"), writing("1/2/3/f", "")), "true DIR/1/2/3/f exists"},
		}},
		{"moved in and out", exists, []change{
			{inOrder(making("a"), writing("x", "")), gone}, {moving("x", "a/f"), there}, {moving("a/f", "a/g"), gone}, {moving("a/g", "a/f"), there},
		}},
		{"the directory is moved away, and another one is put there", exists, []change{
			{inOrder(making("a"), writing("a/f", "")), there}, {moving("a", "b"), gone},
			{inOrder(making("c"), writing("c/f", ""), moving("c", "a")), there}, {inOrder(removing("b/f"), removing("a/f")), gone},
		}},
		{"through links that are swapped", check.File{Path: "DIR/vol/f"}, []change{
			{inOrder(making("vol/..1"), writing("vol/..1/f", ""), linking("..1", "vol/..data"), linking("..data/f", "vol/f")), "true DIR/vol/f exists"},
			{inOrder(making("vol/..2"), linking("..2", "vol/..data")), "false DIR/vol/f does not exist"},
			{writing("vol/..2/f", ""), "true DIR/vol/f exists"},
			{removing("vol/..data"), "false DIR/vol/f does not exist"},
			{linking("DIR/vol/..1", "vol/..data"), "true DIR/vol/f exists"},
		}},
		{"a link leads to nothing, to itself, and somewhere", exists, []change{
			{inOrder(making("a"), linking("DIR/x/../y", "a/f")), gone},
			{linking("f", "a/f"), "false look at DIR/a/f: too many levels of symbolic links"},
			{inOrder(making("x"), writing("y", ""), linking("../x/../y", "a/f")), there},
			{removing("y"), gone},
		}},
		{"a file where a directory should be", exists, []change{
			{writing("a", ""), gone}, {inOrder(removing("a"), making("a"), writing("a/f", "")), there},
		}},
		{"a value", value, []change{
			{making("a"), gone}, {writing("a/f", "-20\n"), "true DIR/a/f holds -20 weight -20"},
			{writing("a/f", " +253"), "true DIR/a/f holds 253 weight 253"},
			{writing("a/f", "0"), "true DIR/a/f holds 0 weight 0"},
			{writing("a/f", "254"), "false DIR/a/f holds 254, outside -253 to 253"},
			{writing("a/f", "lots\x00of\nit that nobody needs"), `false DIR/a/f holds "lots of it that nobo", not a whole number`},
			{writing("a/f", "\n"), "false DIR/a/f is empty"},
			{writing("a/f", strings.Repeat("7", 1<<20)), `false DIR/a/f holds "77777777777777777777", not a whole number`},
			{writing("a/f", "1"), "true DIR/a/f holds 1 weight 1"},
			{inOrder(writing("a/g", "2"), moving("a/g", "a/f")), "true DIR/a/f holds 2 weight 2"},
			{removing("a/f"), gone},
			{making("a/f"), "false DIR/a/f is not a regular file"},
		}},
		{"a value that is linked from elsewhere", value, []change{
			{inOrder(making("a"), making("b"), writing("b/f", "5"), hardLinking("b/f", "a/f")), "true DIR/a/f holds 5 weight 5"},
			{writing("b/f", "6"), "true DIR/a/f holds 6 weight 6"},
		}},
		{"a pipe is no value", value, []change{
			{inOrder(making("a"), piping("a/f")), "false DIR/a/f is not a regular file"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tt.steps[0].do(t, dir)
			tt.spec.Path = strings.ReplaceAll(tt.spec.Path, "DIR", dir)
			s := watching(t, slow(tt.spec))
			for i, step := range tt.steps {
				if i > 0 {
					step.do(t, dir)
				}
				s.until(t, strings.ReplaceAll(step.want, "DIR", dir))
			}
			if len(s) > 0 {
				t.Errorf("told %q besides", <-s)
			}
		})
	}
}

func hardLinking(from, to string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Link(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
}

func piping(path string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := unix.Mkfifo(filepath.Join(dir, path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// What is written in two parts is told when it is whole.
func TestWatchFileHalfWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	writeFile(t, path, "-20")
	s := watching(t, slow(check.File{Path: path, Value: true}))
	s.expect(t, "true "+path+" holds -20 weight -20")
	for range 50 {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"-", "1", "0\n"} {
			if _, err := f.WriteString(part); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		s.expect(t, "true "+path+" holds -10 weight -10")
		writeFile(t, path+"~", "-20")
		if err := os.Rename(path+"~", path); err != nil {
			t.Fatal(err)
		}
		s.expect(t, "true "+path+" holds -20 weight -20")
	}
}

// Where inotify tells nothing, looking does: here on a file of the kernel's.
func TestWatchFileWithoutNews(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	trail := &trail{} // as when the kernel gives none
	trail.follow(dir, false)
	trail.wait(t.Context(), time.Millisecond)
	trail.close()
	pid, p := sleeper(t, "vipd-nonews")
	s := watching(t, config(check.File{Path: filepath.Join("/proc", pid)}, 20*ms))
	s.expect(t, "true /proc/"+pid+" exists")
	p.end(t)
	s.expect(t, "false /proc/"+pid+" does not exist")
}

// A look that hangs is told, and does not hold the end up.
func TestWatchHangs(t *testing.T) {
	t.Parallel()
	s, gate, closed := make(sights, 10), make(chan struct{}), make(chan struct{})
	sc := scene{every: 10 * ms, see: func(seen Seen) { s <- seen.Detail }}
	hang := func() Seen { <-gate; return Seen{OK: true, Detail: "back"} }
	go func() {
		s.until(t, "hangs in the kernel, not done within 10ms")
		gate <- struct{}{}
	}()
	if got, ended := sc.patiently(t.Context(), hang, nil); !ended || got.Detail != "back" {
		t.Errorf("got %v %v", got, ended)
	}
	ctx, cancel := cancelled(t)
	cancel()
	if _, ended := sc.patiently(ctx, hang, func() { close(closed) }); ended {
		t.Error("ended, but it hangs")
	}
	gate <- struct{}{}
	<-closed
}
