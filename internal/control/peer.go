package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/engine"
)

// Peer is the process at the other end of a connection, as the kernel saw it
// when it connected.
type Peer struct {
	PID    int32
	UID    uint32
	GID    uint32
	Groups []uint32 // supplementary
}

// peerOf asks the kernel who is at the other end.
func peerOf(conn *net.UnixConn) (Peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("ask who is calling: %w", err)
	}
	var p Peer
	var inner error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); inner != nil {
			return
		}
		p = Peer{PID: cred.Pid, UID: cred.Uid, GID: cred.Gid}
		p.Groups, inner = peerGroups(fd)
	})
	if err = errors.Join(err, inner); err != nil {
		return Peer{}, fmt.Errorf("ask who is calling: %w", err)
	}
	return p, nil
}

// peerGroups reads SO_PEERGROUPS, for which golang.org/x/sys has no call. A
// process may have up to 65536 groups.
func peerGroups(fd uintptr) ([]uint32, error) {
	groups := make([]uint32, 64)
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4], nil
		case errno == unix.ERANGE && int(size/4) > len(groups) && size <= 4*65536:
			groups = make([]uint32, size/4) // the kernel said how many there are
		default:
			return nil, fmt.Errorf("read the caller's groups: %w", errno)
		}
	}
}

// Actor is the peer for the record, with a name as in "anna (uid 1004)".
func (p Peer) Actor() engine.Actor {
	id := strconv.FormatUint(uint64(p.UID), 10)
	name := "uid " + id
	if u, err := user.LookupId(id); err == nil && u.Username != "" {
		name = fmt.Sprintf("%s (uid %s)", u.Username, id)
	}
	return engine.Actor{Name: name, Process: engine.Process{PID: p.PID, UID: p.UID, GID: p.GID}}
}

// mayChange says whether the peer may change things; nil means yes. The group
// is a name or a number, "" for none.
func (p Peer) mayChange(group string) *Problem {
	if p.UID == 0 || int(p.UID) == os.Geteuid() {
		return nil
	}
	if gid, err := lookupGroup(group); err == nil && (p.GID == gid || slices.Contains(p.Groups, gid)) {
		return nil
	}
	if group == "" {
		return forbid(fmt.Sprintf("%s may look, but not change things: only root may", p.Actor().Name),
			"ask root, or have control.admin_group set")
	}
	return forbid(fmt.Sprintf("%s may look, but not change things: that takes membership of group %s", p.Actor().Name, group),
		fmt.Sprintf("log in again after: usermod -aG %s USER", group))
}

// forbid makes the problem of a missing right.
func forbid(detail, hint string) *Problem {
	p := problem(ProblemNotPermitted, detail)
	p.Hint = hint
	return p
}

// lookupGroup finds the number of a group.
func lookupGroup(group string) (uint32, error) {
	if n, err := strconv.ParseUint(group, 10, 32); err == nil {
		return uint32(n), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(n), err
}
