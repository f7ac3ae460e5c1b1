package probe

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	maxComm      = 15         // how much of a program's name the kernel keeps
	kernelThread = 0x00200000 // PF_KTHREAD
)

// likeness says which processes are meant.
type likeness struct {
	name  string // "" = any
	owner string // "" = anybody
	uid   string // of the owner, who must be the effective user
}

// likenessOf looks the owner up.
func likenessOf(name, owner string) (likeness, error) {
	if owner == "" {
		return likeness{name: name}, nil
	}
	u, err := user.Lookup(owner)
	if err != nil {
		if u, err = user.LookupId(owner); err != nil {
			return likeness{}, fmt.Errorf("there is no user %s", owner)
		}
	}
	return likeness{name: name, owner: owner, uid: u.Uid}, nil
}

// String names what is meant, for messages.
func (l likeness) String() string {
	switch {
	case l.owner == "":
		return l.name
	case l.name == "":
		return l.owner + "'s"
	default:
		return l.name + " of " + l.owner
	}
}

// procfs reads /proc. It is used by one goroutine at a time.
type procfs struct{ buf [4096]byte }

// scan lists the processes that are like that and alive, the oldest first.
func (p *procfs) scan(like likeness) ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %s", cause(err))
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close() // only read from
	if err != nil {
		return nil, fmt.Errorf("list processes: %s", cause(err))
	}
	type found struct {
		pid   int
		start uint64
	}
	var list []found
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if start, ok := p.is(pid, like); ok {
				list = append(list, found{pid, start})
			}
		}
	}
	slices.SortFunc(list, func(a, b found) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.pid, b.pid)) })
	pids := make([]int, len(list))
	for i, f := range list {
		pids[i] = f.pid
	}
	return pids, nil
}

// is reports whether a process is like that and alive, and when it was started,
// in ticks since the boot.
func (p *procfs) is(pid int, like likeness) (start uint64, ok bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	st := parseStat(p.read(dir + "/stat"))
	if !st.alive || like.name != "" && !p.named(dir, st, like.name) {
		return 0, false
	}
	if like.uid != "" && effectiveUser(p.read(dir+"/status")) != like.uid {
		return 0, false
	}
	return st.start, true
}

// named reports whether the program is called that: by its comm, or by the last
// part of its first argument, which is not cut.
func (p *procfs) named(dir string, st stat, name string) bool {
	if st.kernel || len(name) <= maxComm && st.comm == name {
		return st.comm == name
	}
	first, _, _ := bytes.Cut(p.read(dir+"/cmdline"), []byte{0})
	return len(first) > 0 && path.Base(string(first)) == name
}

// read returns the begin of a file, nothing when there is none. It is valid
// until the next read.
func (p *procfs) read(name string) []byte {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		n, err := unix.Read(fd, p.buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return p.buf[:max(n, 0)]
	}
}

// stat is what matters of /proc/PID/stat.
type stat struct {
	comm   string
	start  uint64 // ticks since the boot
	kernel bool   // a thread of the kernel
	alive  bool   // a zombie is not
}

// parseStat reads "12 (name (with any) thing) S 1 12 …", where the letter after
// the name is the state, the 7th word the flags and the 20th the start.
func parseStat(text []byte) stat {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}
	}
	words := bytes.Fields(text[end+1:])
	if len(words) < 20 || bytes.ContainsAny(words[0], "ZXx") {
		return stat{}
	}
	flags, err1 := strconv.ParseUint(string(words[6]), 10, 64)
	start, err2 := strconv.ParseUint(string(words[19]), 10, 64)
	return stat{string(text[open+1 : end]), start, flags&kernelThread != 0, err1 == nil && err2 == nil}
}

// effectiveUser reads the second number after "Uid:" of /proc/PID/status.
func effectiveUser(text []byte) string {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("Uid:")); ok {
			if ids := bytes.Fields(rest); len(ids) > 1 {
				return string(ids[1])
			}
		}
	}
	return ""
}
