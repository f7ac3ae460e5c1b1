package journal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/testenv"
)

// recordTypes reads the types of records from the source of the engine.
func recordTypes(t *testing.T) (list []engine.RecordType) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../pkg/engine/action.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "RecordType" {
			word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, engine.RecordType(word))
		}
		return true
	})
	if len(list) == 0 {
		t.Fatal("the engine has no type of records")
	}
	return list
}

// TestMessageIDs: every type has a UUID of its own, which the catalog explains
// and vipd(8) lists; neither has one that there is not.
func TestMessageIDs(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, typ := range recordTypes(t) {
		id := MessageID(typ)
		if !regexp.MustCompile(`^[0-9a-f]{12}5[0-9a-f]{3}[89ab][0-9a-f]{15}$`).MatchString(id) {
			t.Errorf("%s is no UUID of version 5", id)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("two types have one UUID: %v", ids)
	}
	if MessageID(engine.RecordTransition) != "30eea0d2fbb1504387304105fd043f0c" {
		t.Errorf("the UUID of a type changed: %s", MessageID(engine.RecordTransition))
	}
	catalog := read(t, "../../contrib/systemd/vipd.catalog")
	manual := read(t, "../../docs/man/vipd.8")
	for _, typ := range recordTypes(t) {
		if !strings.Contains(catalog, "-- "+MessageID(typ)+"\n") {
			t.Errorf("the catalog has no entry\n-- %s\nfor %s", MessageID(typ), typ)
		}
		if !strings.Contains(manual, ".It "+string(typ)+" Ta "+MessageID(typ)+"\n") {
			t.Errorf("the manual has no line\n.It %s Ta %s", typ, MessageID(typ))
		}
	}
	for what, found := range map[string][]string{
		"catalog": find(catalog, `(?m)^-- ([0-9a-f]{32})$`),
		"manual":  find(manual, `(?m)^\.It .* Ta ([0-9a-f]{32})$`),
	} {
		if diff := cmp.Diff(ids, found); diff != "" {
			t.Errorf("UUIDs of the types (-) and of the %s (+):\n%s", what, diff)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// find returns what the first group of a pattern matched, sorted.
func find(text, pattern string) (list []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	slices.Sort(list)
	return list
}

// TestJournald: with journald at its place, records go there with their fields,
// and nowhere else; when it goes away they are in the log.
func TestJournald(t *testing.T) {
	testenv.Require(t)
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount("/run", 0) })
	if err := os.MkdirAll("/run/systemd/journal", 0o755); err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/run/systemd/journal/socket", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	j := Open(Options{Node: node, Log: textLog(&log), Journald: true})
	j.Add(engine.Record{Seq: 3, Type: engine.RecordCheck, Name: "svc", Text: "check svc: up -> down", Severity: engine.Critical})
	j.Add(engine.Record{
		Seq: 4, Type: engine.RecordTransition, Name: "web", From: "ACTIVE", To: "FAULT", Reason: "check", Text: "web: ACTIVE -> FAULT (svc)",
		Cause: 3, Severity: engine.Warning,
		Actor: engine.Actor{Name: "anna (uid 1004)", Process: engine.Process{PID: 77, UID: 1004, GID: 1005}}, Took: 1500 * time.Microsecond,
	})
	finish(t, j)
	want := [][]string{
		{
			"MESSAGE=check svc: up -> down", "MESSAGE_ID=" + MessageID(engine.RecordCheck),
			"PRIORITY=2", "SYSLOG_IDENTIFIER=vipd", "VIPD_EVENT=check", "VIPD_EVENT_ID=3", "VIPD_NAME=svc",
		},
		{
			"MESSAGE=web: ACTIVE -> FAULT (svc)", "MESSAGE_ID=" + MessageID(engine.RecordTransition), "PRIORITY=4", "SYSLOG_IDENTIFIER=vipd",
			"VIPD_ACTOR=anna (uid 1004)", "VIPD_ACTOR_GID=1005", "VIPD_ACTOR_PID=77", "VIPD_ACTOR_UID=1004", "VIPD_DURATION_USEC=1500",
			"VIPD_CAUSE=3", "VIPD_EVENT=vrrp_transition", "VIPD_EVENT_ID=4", "VIPD_FROM=ACTIVE", "VIPD_NAME=web", "VIPD_REASON=check", "VIPD_TO=FAULT",
		},
	}
	for i := range want {
		buf := make([]byte, 64<<10)
		n, err := socket.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Split(strings.TrimSuffix(string(buf[:n]), "\n"), "\n")
		slices.Sort(fields)
		slices.Sort(want[i])
		if diff := cmp.Diff(want[i], fields); diff != "" {
			t.Error(diff)
		}
	}
	if log.Len() > 0 {
		t.Errorf("also in the log: %s", &log)
	}
	if err := socket.Close(); err != nil {
		t.Fatal(err)
	}
	j.Add(engine.Record{Seq: 5, Type: engine.RecordStop, Text: "stops", Severity: engine.Notice})
	finish(t, j)
	if !strings.Contains(log.String(), "msg=stop text=stops id=5") {
		t.Errorf("nowhere: %q", &log)
	}
}

// TestConnected follows JOURNAL_STREAM and what standard error really is.
func TestConnected(t *testing.T) {
	var st unix.Stat_t
	if err := unix.Fstat(2, &st); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]bool{
		"":                             false,
		"garbage":                      false,
		formatStream(st.Dev, st.Ino):   true,
		formatStream(st.Dev, st.Ino+1): false,
	} {
		t.Setenv("JOURNAL_STREAM", stream)
		if got := Connected(); got != want {
			t.Errorf("JOURNAL_STREAM=%q: %v", stream, got)
		}
	}
}

func textLog(out io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(out, nil)) }

func formatStream(dev, ino uint64) string {
	return strconv.FormatUint(dev, 10) + ":" + strconv.FormatUint(ino, 10)
}
