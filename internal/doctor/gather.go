package doctor

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/doctor"
)

// Host is where facts are gathered.
type Host struct {
	// Root is where /proc, /sys, /etc, /run and /var are: "" = the host's own.
	Root string
	// Rules returns what nft -j list ruleset prints; nil = that program is run.
	Rules func(context.Context) ([]byte, error)
}

// rulesTime bounds the run of nft.
const rulesTime = 5 * time.Second

// Gather looks at all that needs no patience. The process is that of the daemon,
// 0 when none runs.
func (h Host) Gather(ctx context.Context, n doctor.Needs, daemon int) doctor.Facts {
	f := doctor.Facts{
		Kernel: strings.TrimSpace(h.text("proc/sys/kernel/osrelease")),
		Links:  h.links(), Clock: clock(),
		Secrets: h.secrets(), Socket: h.socket(n.Socket), Groups: h.groups(), Journal: h.journal(),
		Tracked: h.number("proc/sys/net/netfilter/nf_conntrack_count"), TrackedMax: h.number("proc/sys/net/netfilter/nf_conntrack_max"),
		Legacy: strings.TrimSpace(h.text("proc/net/ip_tables_names")+h.text("proc/net/ip6_tables_names")) != "",
	}
	f.Config = h.kernelConfig(f.Kernel)
	if daemon > 0 {
		f.Caps, f.Daemon = h.caps(daemon)
	}
	f.Sysctls = h.sysctls(n)
	if _, err := os.Stat(h.path("run/systemd/netif/state")); err == nil {
		f.Networkd = h.networkd()
	}
	rules := h.Rules
	if rules == nil {
		rules = list
	}
	ctx, cancel := context.WithTimeout(ctx, rulesTime)
	defer cancel()
	var err error
	if f.NFT, err = rules(ctx); err != nil {
		f.NFT, f.NFTError = nil, err.Error()
	}
	return f
}

// list runs nft.
func list(ctx context.Context) ([]byte, error) {
	program, err := exec.LookPath("nft")
	if err != nil {
		program = "/usr/sbin/nft"
	}
	out, err := exec.CommandContext(ctx, program, "-j", "list", "ruleset").Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && len(failed.Stderr) > 0 {
		line, _, _ := strings.Cut(string(failed.Stderr), "\n")
		return nil, errors.New(strings.TrimSpace(line))
	}
	return out, err
}

func (h Host) path(name string) string { return filepath.Join("/", h.Root, name) }

// maxText is more than any file that is read here has, in bytes.
const maxText = 1 << 20

// text is what a file holds, "" when there is none.
func (h Host) text(name string) string {
	f, err := os.Open(h.path(name))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil {
		return ""
	}
	return string(text)
}

// number is the number in a file, 0 when there is none.
func (h Host) number(name string) int {
	n, err := strconv.Atoi(strings.TrimSpace(h.text(name)))
	if err != nil {
		return 0
	}
	return n
}

// glob returns the names of files, without the root, sorted.
func (h Host) glob(pattern string) []string {
	found, _ := filepath.Glob(h.path(pattern))
	for i, name := range found {
		found[i], _ = filepath.Rel(h.path(""), name)
	}
	return found
}

// kernelConfig is how the kernel was built, nil when that is not known.
func (h Host) kernelConfig(release string) map[string]string {
	text := h.text("boot/config-" + release)
	if packed := h.text("proc/config.gz"); packed != "" {
		r, err := gzip.NewReader(strings.NewReader(packed))
		if err != nil {
			return nil
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, io.LimitReader(r, maxText)); err != nil {
			return nil
		}
		text = b.String()
	}
	if text == "" {
		return nil
	}
	config := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && strings.HasPrefix(key, "CONFIG_") {
			config[key] = value
		}
	}
	return config
}

// caps are the effective capabilities of a process.
func (h Host) caps(pid int) (caps uint64, ok bool) {
	for line := range strings.Lines(h.text("proc/" + strconv.Itoa(pid) + "/status")) {
		if value, found := strings.CutPrefix(line, "CapEff:"); found {
			caps, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			return caps, err == nil
		}
	}
	return 0, false
}

// sysctls reads what matters of the interfaces in use.
func (h Host) sysctls(n doctor.Needs) map[string]int {
	m := map[string]int{}
	for _, dev := range append([]string{"all"}, interfaces(n)...) {
		for _, key := range []string{
			"ipv4/conf/DEV/arp_ignore", "ipv4/conf/DEV/arp_filter", "ipv4/conf/DEV/rp_filter",
			"ipv6/conf/DEV/disable_ipv6", "ipv6/conf/DEV/accept_dad",
		} {
			name := "net/" + strings.Replace(key, "DEV", dev, 1)
			if text := h.text("proc/sys/" + name); text != "" {
				m[name] = h.number("proc/sys/" + name)
			}
		}
	}
	return m
}

// interfaces are those of the VIPs, sorted.
func interfaces(n doctor.Needs) []string {
	var names []string
	for _, v := range n.VIPs {
		names = append(names, v.Interface)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// clock asks the kernel about its clock.
func clock() doctor.Clock {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return doctor.Clock{}
	}
	return doctor.Clock{
		Known: true, Synced: state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0,
		Error: time.Duration(t.Maxerror) * time.Microsecond,
	}
}

// secrets are the files of credentials, their directory first.
func (h Host) secrets() []doctor.File {
	const dir = "etc/vipd/credentials"
	var files []doctor.File
	for _, name := range append([]string{dir}, h.glob(dir+"/*")...) {
		if f := h.file(name); f != nil {
			files = append(files, *f)
		}
	}
	return files
}

// socket is the control socket, nil when there is none.
func (h Host) socket(name string) *doctor.File {
	if f := h.file(name); f != nil && !f.Dir {
		return f
	}
	return nil
}

func (h Host) file(name string) *doctor.File {
	info, err := os.Stat(h.path(name))
	if err != nil {
		return nil
	}
	f := &doctor.File{Path: filepath.Join("/", name), Dir: info.IsDir(), Perm: uint32(info.Mode().Perm())}
	var st unix.Stat_t
	if unix.Stat(h.path(name), &st) == nil {
		f.UID = st.Uid
	}
	return f
}

// groups are the names of the groups in /etc/group, nil when that is not there.
func (h Host) groups() []string {
	var names []string
	for line := range strings.Lines(h.text("etc/group")) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			names = append(names, name)
		}
	}
	return names
}

// journal reports whether journald keeps its journal over a restart of the host.
func (h Host) journal() bool {
	storage := "auto"
	for _, name := range append([]string{"etc/systemd/journald.conf"}, h.glob("etc/systemd/journald.conf.d/*.conf")...) {
		for line := range strings.Lines(h.text(name)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "Storage="); ok {
				storage = strings.ToLower(value)
			}
		}
	}
	info, err := os.Stat(h.path("var/log/journal"))
	return storage == "persistent" || storage == "auto" && err == nil && info.IsDir()
}

// networkd is its configuration.
func (h Host) networkd() doctor.Files {
	files := doctor.Files{}
	for _, pattern := range []string{"usr/lib/systemd/networkd.conf.d/*.conf", "etc/systemd/networkd.conf", "etc/systemd/networkd.conf.d/*.conf"} {
		for _, name := range h.glob(pattern) {
			files = append(files, h.text(name))
		}
	}
	return files
}

// there reports whether a file is there.
func (h Host) there(name string) bool {
	_, err := os.Stat(h.path(name))
	return !errors.Is(err, fs.ErrNotExist)
}
