package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The kernel's process connector, see linux/connector.h and linux/cn_proc.h: a
// netlink header, a struct cn_msg of 20 bytes, and
//
//	0 what | 4 cpu | 8 time | 16 of a fork: parent pid, tgid, child pid, tgid; of the rest: pid, tgid
const (
	connectorGroup = 1 // CN_IDX_PROC, and its CN_VAL_PROC
	connectorStart = unix.SizeofNlMsghdr + 20
	multicastOn    = 1 // PROC_CN_MCAST_LISTEN
	multicastOff   = 2 // PROC_CN_MCAST_IGNORE

	eventAck  = 0 // of a request; its error is at 16
	eventFork = 0x1
	eventExec = 0x2
	eventUser = 0x4
	eventComm = 0x200

	ackTime = time.Second
)

// arrivals calls begun as soon as the kernel tells of processes, and then news
// with the number of each that is new, runs another program, or has another
// name or user, until ctx ends. It fails where the kernel does not tell: outside
// of the first network and user namespaces.
func arrivals(ctx context.Context, begun func(), news func(pid int)) error {
	conn, err := socket.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM, unix.NETLINK_CONNECTOR, "connector", nil)
	if err != nil {
		return fmt.Errorf("watch for processes: %w", err)
	}
	defer func() { _ = conn.Close() }()
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: connectorStart, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: eventAck, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: swapped(eventFork), SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: swapped(eventExec), SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: swapped(eventUser), SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: swapped(eventComm), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1 << 16},
	})
	if err != nil {
		return fmt.Errorf("watch for processes: %w", err)
	}
	if err := conn.SetBPF(filter); err != nil {
		return fmt.Errorf("watch for processes: %w", err)
	}
	if err := conn.Bind(&unix.SockaddrNetlink{Groups: connectorGroup}); err != nil {
		return fmt.Errorf("watch for processes: %w", err)
	}
	kernel := &unix.SockaddrNetlink{}
	if err := conn.Sendto(ctx, connectorRequest(multicastOn), 0, kernel); err != nil {
		return fmt.Errorf("watch for processes: %w", err)
	}
	defer func() { _ = conn.Sendto(context.WithoutCancel(ctx), connectorRequest(multicastOff), 0, kernel) }()
	if err := acknowledged(ctx, conn); err != nil {
		return fmt.Errorf("watch for processes: %w", err)
	}
	begun()
	return receive(ctx, conn, func(msg []byte) {
		if pid, ok := arrived(msg); ok {
			news(pid)
		}
	}, begun)
}

// acknowledged waits for the kernel's answer to the request. In a user or
// process namespace of its own there is none.
func acknowledged(ctx context.Context, conn *socket.Conn) error {
	answer := errors.New("the kernel does not answer in this namespace")
	wait, cancel := context.WithTimeout(ctx, ackTime)
	defer cancel()
	err := receive(wait, conn, func(msg []byte) {
		if len(msg) < connectorStart+20 || native.Uint32(msg[connectorStart:]) != eventAck {
			return
		}
		answer = nil
		if no := native.Uint32(msg[connectorStart+16:]); no != 0 {
			answer = unix.Errno(no)
		}
		cancel()
	}, func() {})
	if err != nil || ctx.Err() != nil {
		return err
	}
	return answer
}

// connectorRequest asks for events, or for no more of them.
func connectorRequest(op uint32) []byte {
	b := make([]byte, connectorStart+4)
	native.PutUint32(b, uint32(len(b)))
	native.PutUint16(b[4:], unix.NLMSG_DONE)
	native.PutUint32(b[16:], connectorGroup)
	native.PutUint32(b[20:], connectorGroup)
	native.PutUint16(b[32:], 4) // length of what follows
	native.PutUint32(b[connectorStart:], op)
	return b
}

// arrived reads the number of the process in an event. Threads do not count.
func arrived(msg []byte) (pid int, ok bool) {
	if len(msg) < connectorStart+32 || native.Uint32(msg[connectorStart:]) == eventAck {
		return 0, false
	}
	ev := msg[connectorStart:]
	who := ev[16:]
	if native.Uint32(ev) == eventFork {
		who = ev[24:]
	}
	id, group := native.Uint32(who), native.Uint32(who[4:])
	return int(group), id == group
}

// swapped is a number of this host as a filter, which reads in network order,
// sees it.
func swapped(n uint32) uint32 {
	return binary.BigEndian.Uint32(native.AppendUint32(nil, n))
}
