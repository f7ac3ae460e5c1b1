package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
)

var update = flag.Bool("update", false, "rewrite the expected outputs")

// memory is a Reader of texts by name.
type memory map[string]string

func (m memory) Open(name string) (io.ReadCloser, error) {
	text, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("no such file or directory")}
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func (m memory) Glob(pattern string) ([]string, error) {
	var names []string
	for name := range m {
		ok, err := path.Match(pattern, name)
		if err != nil {
			return nil, err
		}
		if ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// Programs of the tests: those in /missing are not there, those in /open are for
// everybody to write.
func program(name string) (writable string, err error) {
	switch path.Dir(name) {
	case "/missing":
		return "", &fs.PathError{Op: "stat", Path: name, Err: errors.New("no such file or directory")}
	case "/open":
		return "/open", nil
	}
	return "", nil
}

func (memory) Program(name string) (string, error) { return program(name) }
func (tree) Program(name string) (string, error)   { return program(name) }
func (memory) Secret(name string) (string, error) {
	if name == "vrrp-password" {
		return "ours2day", nil
	}
	return "the long and random secret of " + name, nil
}

// tree is a Reader of the files of a directory.
type tree string

func (t tree) Open(name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(t), name))
}

func (t tree) Glob(pattern string) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(string(t), pattern))
	for i := range names {
		names[i], _ = filepath.Rel(string(t), names[i])
	}
	return names, err
}

func (t tree) Secret(name string) (string, error) {
	switch name {
	case "long":
		return strings.Repeat("x", 81), nil
	case "lines":
		return "a\nb", nil
	case "empty":
		return "", nil
	case "pair-key":
		return "hex:" + strings.Repeat("5a", 32), nil
	case "half-key":
		return "hex:" + strings.Repeat("5a", 31), nil
	case "odd-key":
		return "hex:" + strings.Repeat("5g", 32), nil
	case "key":
		return "a key of more than 32 bytes, for tests", nil
	case "odd-hex":
		return "hex:" + strings.Repeat("a", 65), nil
	case "password":
		return "ours2day", nil
	}
	return "", fmt.Errorf("read secret %s: %w", name, syscall.ENOENT)
}

func formatted(t *testing.T, p *Problems) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Format(&b, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// parse loads a text that must be good and cause no warning.
func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, problems := Load(memory{"vipd.toml": text}, "vipd.toml")
	if len(problems.List) > 0 {
		t.Fatalf("unexpected problems:\n%s", formatted(t, problems))
	}
	return c
}

// TestBad loads one file for every mistake and compares what is said about it.
func TestBad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d bad files, want 40 or more (%v)", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, problems := Load(tree("testdata/bad"), name)
			if (config == nil) != (problems.Errors() > 0) || (config == nil) != (problems.Err() != nil) {
				t.Errorf("config %v with %d errors", config, problems.Errors())
			}
			if len(problems.List) == 0 {
				t.Error("no problem found")
			}
			got := formatted(t, problems)
			expected := strings.TrimSuffix(file, ".toml") + ".txt"
			if *update {
				if err := os.WriteFile(expected, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

const firstPair = `
[vip.web]
interface = "eth0"
vrid      = 51
addresses = ["192.0.2.10/24", "2001:db8::10/64", "192.0.2.11"]
track     = ["haproxy"]

[check.haproxy]
type = "tcp"
port = 443
`

func TestDefaults(t *testing.T) {
	t.Parallel()
	want := &Config{
		Engine: engine.Config{
			VIPs: map[string]engine.VIP{"web": {
				Interface: "eth0",
				VRID:      51,
				Version:   3,
				Priority:  100,
				Interval:  time.Second,
				Addresses: []netip.Prefix{
					netip.MustParsePrefix("192.0.2.10/24"),
					netip.MustParsePrefix("2001:db8::10/64"),
					netip.MustParsePrefix("192.0.2.11/32"),
				},
				Preempt:  true,
				Checksum: vrrp.ChecksumPseudoHeader,
				Track:    map[string]check.Weight{"haproxy": {Fault: true, Own: true}},
				Lease:    engine.LeaseAuto,
				GARP: engine.GARP{
					Repeat:   5,
					Interval: time.Millisecond,
					Bursts:   []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, time.Second},
					Refresh:  time.Minute,
				},
			}},
			Groups:   map[string][]string{},
			Services: map[string]engine.Service{},
			Checks: map[string]check.Config{"haproxy": {
				Spec:     check.TCP{Address: "127.0.0.1:443"},
				Interval: time.Second,
				Timeout:  time.Second,
				Rise:     2,
				Fall:     2,
				Weight:   check.Weight{Fault: true},
			}},
			GroupNotify: map[string]bool{},
		},
		VIPHooks:   map[string]Hooks{"web": {NotifyTimeout: 30 * time.Second}},
		GroupHooks: map[string]Hooks{},
		Control:    Control{Socket: "/run/vipd/vipd.sock", AdminGroup: "vipd-admin"},
		Files:      []string{"vipd.toml"},
	}
	for name, text := range map[string]string{
		"as is":          firstPair,
		"crlf":           strings.ReplaceAll(firstPair, "\n", "\r\n"),
		"mark":           "\ufeff" + firstPair,
		"no end of line": strings.TrimSpace(firstPair),
	} {
		if diff := cmp.Diff(want, parse(t, text), comparers, cmpopts.IgnoreFields(Config{}, "Text")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

var comparers = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})

func TestFormatSingular(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text, last string
	}{
		"one":     {"[vip]\nx = 1", "vipd: error: 1 problem in vipd.toml\n"},
		"two":     {"[vip]\nx = 1\ny = 1", "vipd: error: 2 problems in vipd.toml\n"},
		"warning": {"", "vipd: 1 warning in vipd.toml\n"},
		"both":    {strings.Replace(firstPair, "51", "510\nadvert_interval = \"50ms\"", 1), "vipd: error: 1 problem and 1 warning in vipd.toml\n"},
		"neither": {firstPair, ""},
	} {
		_, problems := Load(memory{"vipd.toml": test.text}, "vipd.toml")
		lines := strings.SplitAfter(formatted(t, problems), "\n")
		if got := lines[max(0, len(lines)-2)]; got != test.last {
			t.Errorf("%s: last line %q, want %q", name, got, test.last)
		}
	}
}

// TestLimits: whatever the file, the answer comes soon and is short.
func TestLimits(t *testing.T) {
	t.Parallel()
	many := func(s string) string { return strings.Repeat(s, 1_000_000/len(s)) }
	for name, test := range map[string]struct{ text, want string }{
		"10 MB":            {strings.Repeat("# nothing\n", 1<<20), "larger than 1024 KiB"},
		"brackets":         {"a = " + many("["), "nested deeper than 32"},
		"inline tables":    {"a = " + many("{a="), "nested deeper than 32"},
		"dotted key":       {many("a.") + "a = 1", "nested deeper than 32"},
		"dotted header":    {"[" + many("a.") + "a]", "nested deeper than 32"},
		"quoted key":       {many(`"a".`) + "a = 1", "nested deeper than 32"},
		"unknown keys":     {unknownKeys(15_000), "14900 more errors"},
		"keys on one line": {"vip = {" + strings.ReplaceAll(unknownKeys(15_000), "\n", ", ") + "z = 1}", "14901 more errors"},
		"long line":        {"x = \"" + many("y") + "\"", "unknown key `x`"},
		"binary":           {"\x7fELF\x02\x01\x01\x00\x00", "binary file"},
		"UTF-16":           {"\xff\xfe[\x00v\x00", "UTF-16"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, problems := Load(memory{"vipd.toml": test.text}, "vipd.toml")
			got := formatted(t, problems)
			if config != nil || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got[:min(len(got), 500)], test.want)
			}
			if len(got) > 100_000 {
				t.Errorf("%d bytes of output", len(got))
			}
		})
	}
}

func unknownKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("k" + strings.Repeat("0", i%3))
		b.WriteString(strings.TrimLeft(time.Duration(i).String(), "-"))
		b.WriteString("_ = 1\n")
	}
	return strings.NewReplacer("µ", "u", ".", "_").Replace(b.String())
}

// TestManyWarnings: warnings beyond what is listed do not forbid a file.
func TestManyWarnings(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 250 {
		n := string(rune('a'+i/26)) + string(rune('a'+i%26))
		b.WriteString("[vip." + n + "]\ninterface = \"" + n + "\"\nvrid = 1\nadvert_interval = \"10ms\"\n")
		b.WriteString("addresses = [\"" + netip.AddrFrom4([4]byte{10, 0, 1, byte(i + 1)}).String() + "\"]\n")
	}
	config, problems := Load(memory{"vipd.toml": b.String()}, "vipd.toml")
	if config == nil || len(config.Engine.VIPs) != 250 {
		t.Fatalf("no config:\n%s", formatted(t, problems))
	}
	if got := problems.List[len(problems.List)-1].Message; got != "150 more warnings" {
		t.Errorf("last problem %q", got)
	}
}

func TestIncludeOrder(t *testing.T) {
	t.Parallel()
	c, problems := Load(memory{
		"/etc/vipd/vipd.toml":        "include = [\"conf.d/*.toml\", \"none/*.toml\", \"/srv/vipd/more.toml\"]\n[vip.web]\nvrid = 51",
		"/etc/vipd/conf.d/b.toml":    "[vip.web]\naddresses = [\"192.0.2.10\"]",
		"/etc/vipd/conf.d/a.toml":    "[vip.web]\ninterface = \"eth0\"\n[vip.web.garp]\nrepeat = 1",
		"/etc/vipd/conf.d/a.tom":     "junk",
		"/srv/vipd/more.toml":        "include = [\"deep.toml\"]",
		"/srv/vipd/deep.toml":        "[vip.web.garp]\nrefresh = \"0s\"",
		"/srv/vipd/not-mentioned.to": "junk",
	}, "/etc/vipd/vipd.toml")
	if c == nil {
		t.Fatal(formatted(t, problems))
	}
	want := []string{
		"/etc/vipd/vipd.toml", "/etc/vipd/conf.d/a.toml", "/etc/vipd/conf.d/b.toml", "/srv/vipd/more.toml", "/srv/vipd/deep.toml",
	}
	if !slices.Equal(c.Files, want) {
		t.Errorf("files %v, want %v", c.Files, want)
	}
	web := c.Engine.VIPs["web"]
	if web.Interface != "eth0" || web.GARP.Repeat != 1 || web.GARP.Refresh != 0 || len(web.Addresses) != 1 {
		t.Errorf("merged to %+v", web)
	}
}
