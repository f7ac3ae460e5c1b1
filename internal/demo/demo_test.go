package demo

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vipd/vipd/testenv"
)

// binary is the vipd that is shown.
var binary string

func TestMain(m *testing.M) {
	if path := os.Getenv("VIPD_BIN"); path != "" {
		binary = path
		os.Exit(testenv.Main(m))
	}
	dir, err := os.MkdirTemp("", "vipd-demo-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // for an ordinary user
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "vipd")
	build := exec.Command("go", "build", "-o", binary, "github.com/vipd/vipd/cmd/vipd")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	code := 1
	if build.Run() == nil && os.Setenv("VIPD_BIN", binary) == nil {
		code = testenv.Main(m)
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// TestRunAnycast plays the one about services, and reads the document.
func TestRunAnycast(t *testing.T) {
	testenv.Require(t)
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("VIPD_SOCKET", "/nonexistent") // of a daemon outside
	var story strings.Builder
	doc := RunAnycast(t.Context(), Options{Program: binary, Out: &story})
	if !doc.OK {
		t.Fatalf("%s\n%s\n%v", doc.Problem, &story, doc.Logs)
	}
	if len(doc.Acts) != len(scenes) || !doc.Anycast {
		t.Fatalf("%d of %d scenes: %+v", len(doc.Acts), len(scenes), doc)
	}
	for i, r := range doc.Acts {
		if r.Name != scenes[i].name || !r.OK || r.To != strings.Join(scenes[i].hosts, ", ") || r.From != r.To && r.Moved <= 0 {
			t.Errorf("scene %d: %+v", i+1, r)
		}
		if r.Limit == 0 && r.Lost > 0 {
			t.Errorf("%s: %d probes lost", r.Name, r.Lost)
		}
	}
	for _, want := range []string{"lb1# vipd why resolver", "check service fails", "lb1# vipd drain --wait"} {
		if !strings.Contains(story.String(), want) {
			t.Errorf("the story does not contain %q", want)
		}
	}
}

// TestRun plays the whole demo and reads the story.
func TestRun(t *testing.T) {
	testenv.Require(t)
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("VIPD_SOCKET", "/nonexistent") // of a daemon outside
	var story strings.Builder
	var drawing bytes.Buffer
	doc := Run(t.Context(), Options{Program: binary, Out: &story, Picture: &drawing, Title: func(text string) string { return "<" + text + ">" }})
	if !doc.OK {
		t.Fatalf("%s\n%s\n%v", doc.Problem, &story, doc.Logs)
	}
	checkDocument(t, doc)
	checkPicture(t, drawing.Bytes())
	for i, a := range acts {
		if title := fmt.Sprintf("\n<%d. %s>\n", i+1, a.title); !strings.Contains(story.String(), title) {
			t.Errorf("the story does not contain %q", title)
		}
	}
	for _, want := range []string{
		"\nlb1# vipd status\nlb1  vipd ", "\nlb2# vipd status\nlb2  vipd ", "\nlb2# vipd why web\nweb is ACTIVE on lb2 ",
		"\nlb1# vipd drain --wait --reason \"kernel upgrade\"\ndrained: web\n", "\nlb1# vipd undrain\nin service: web\n", "\nlb1# vipd why web\nweb is FAULT on lb1 ",
		"The protocol itself waits up to 360.9 ms (Active_Down_Interval).\n",
	} {
		if !strings.Contains(story.String(), want) {
			t.Errorf("the story does not contain %q", want)
		}
	}
	for line := range strings.Lines(story.String()) {
		own := strings.HasPrefix(line, "   lb") || strings.HasPrefix(line, "<") || strings.Contains(line, "# vipd")
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); own && n > 80 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	nothingLeft(t, os.Getenv("TMPDIR"))
	if t.Failed() {
		t.Log(story.String())
	}
}

// checkDocument checks what every successful run says.
func checkDocument(t *testing.T, doc *Document) {
	t.Helper()
	if doc.Schema != "vipd.demo/v1" || !doc.OK || doc.Problem != "" || len(doc.Logs) > 0 || len(doc.NotPrevented) == 0 {
		t.Errorf("document %+v", doc)
	}
	if doc.Interval != 100*time.Millisecond || doc.ActiveDown.Truncate(100*time.Microsecond) != 360900*time.Microsecond ||
		doc.Skew.Truncate(100*time.Microsecond) != 60900*time.Microsecond {
		t.Errorf("advert interval %v, active-down interval %v, skew time %v", doc.Interval, doc.ActiveDown, doc.Skew)
	}
	moves := []string{"lb1 lb1", "lb1 lb2", "lb2 lb1", "lb1 lb2", "lb2 lb1", "lb1 lb2", "lb2 lb1", "lb1 lb2", "lb2 lb1"}
	lost := 0
	for i, r := range doc.Acts {
		lost += r.Lost
		if !r.OK || r.Problem != "" || i >= len(moves) || r.From+" "+r.To != moves[i] {
			t.Errorf("act %d: %+v", i+1, r)
		}
		if took := r.From != r.To; took != (r.Moved > 0) {
			t.Errorf("act %d: moved after %v: %+v", i+1, r.Moved, r)
		}
	}
	if len(doc.Acts) != len(moves) {
		t.Fatalf("%d acts, want %d", len(doc.Acts), len(moves))
	}
	// Less than this would mean that nothing was broken.
	for i, least := range map[int]time.Duration{1: 250 * time.Millisecond, 3: 20 * time.Millisecond, 7: 40 * time.Millisecond} {
		if doc.Acts[i].Outage < least || doc.Acts[i].Lost == 0 {
			t.Errorf("act %d: outage %v, below %v", i+1, doc.Acts[i].Outage, least)
		}
	}
	if doc.Lost != lost || doc.Sent < 5000 {
		t.Errorf("%d probes sent, %d lost, %d lost in acts", doc.Sent, doc.Lost, lost)
	}
}

// checkPicture checks that a picture is XML, and that it shows every act in which the
// address moves, with the states.
func checkPicture(t *testing.T, drawing []byte) {
	t.Helper()
	texts := map[string]int{}
	for dec := xml.NewDecoder(bytes.NewReader(drawing)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
		if text, ok := token.(xml.CharData); ok {
			texts[string(text)]++
		}
	}
	for _, a := range acts[1:] {
		if texts[a.title] != 1 {
			t.Errorf("the picture has %q %d times", a.title, texts[a.title])
		}
	}
	if texts["ACTIVE"] < len(acts)-1 {
		t.Errorf("the picture shows %d takeovers", texts["ACTIVE"])
	}
}

// nothingLeft checks that a directory for temporary files is empty.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("left in %s: %v %v", dir, entries, err)
	}
}

// TestRunFails plays with a program that is no vipd: the demo says so at once,
// with what the program wrote.
func TestRunFails(t *testing.T) {
	testenv.Require(t)
	t.Setenv("TMPDIR", t.TempDir())
	program := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho broken on purpose\nexit 4\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	doc := Run(t.Context(), Options{Program: program, Out: io.Discard})
	if doc.OK || !strings.Contains(doc.Problem, "wait for web to be ACTIVE on lb1: no daemon") || doc.Logs["lb1"] != "broken on purpose\n" {
		t.Errorf("document %+v", doc)
	}
	if took := time.Since(begun); took > patience/2 {
		t.Errorf("it took %v", took)
	}
	nothingLeft(t, os.Getenv("TMPDIR"))
}

// TestBadAct plays an act that costs more than is expected of it: the demo does
// not pass.
func TestBadAct(t *testing.T) {
	testenv.Require(t)
	doc := &Document{}
	s, err := build(Options{Program: binary, Out: io.Discard}, doc)
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	if err == nil {
		err = s.open(t.Context())
	}
	if err == nil {
		err = s.playOne(t.Context(), act{name: "bad", do: (*stage).powerOff, expect: expectation{holder: "lb2", limit: none, words: "words"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	err = s.finish()
	if err == nil || !strings.HasPrefix(err.Error(), "bad: no answer for ") || doc.Acts[0].OK || doc.Acts[0].Problem != err.Error() {
		t.Errorf("%v, %+v", err, doc.Acts)
	}
}

// TestJudge checks which figures an act may have.
func TestJudge(t *testing.T) {
	t.Parallel()
	const limit = 300 * time.Millisecond
	for name, test := range map[string]struct {
		r    Result
		want string
	}{
		"steady":         {Result{From: "lb1", To: "lb1"}, ""},
		"steady loses":   {Result{From: "lb1", To: "lb1", Lost: 1, Outage: time.Millisecond}, "x: 1 probe lost, although nothing happened"},
		"at the limit":   {Result{From: "lb1", To: "lb2", Lost: 300, Outage: limit, Limit: limit}, ""},
		"busy machine":   {Result{From: "lb1", To: "lb2", Lost: 449, Outage: limit + allowance, Limit: limit}, ""},
		"too long":       {Result{From: "lb1", To: "lb2", Lost: 451, Outage: limit + allowance + 1, Limit: limit, Expected: "why"}, "x: no answer for 450.0 ms, which is more than 300.0 ms (why) and 150.0 ms for a busy machine"},
		"late, not lost": {Result{From: "lb1", To: "lb2", Slowest: limit + allowance + 1, Limit: limit, Expected: "why"}, "x: no answer for 450.0 ms, which is more than 300.0 ms (why) and 150.0 ms for a busy machine"},
	} {
		test.r.Name = "x"
		got := ""
		if err := test.r.judge(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
