package lease

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// checkEvery is how often the table is looked at although nothing was heard.
	checkEvery = 10 * time.Second

	// checkPause is the shortest time between two looks.
	checkPause = 5 * time.Millisecond

	eventBuffer = 1 << 20 // bytes; what does not fit costs a look, nothing more
)

// events hears from the kernel what others do: to nftables, and to links.
type events struct {
	kicks chan struct{} // look again
	nft   *nl.NetlinkSocket
	links *nl.NetlinkSocket
	own   uint32 // the port of what we do ourselves

	mu    sync.Mutex
	names map[int]string // of the links, by index
	who   string         // changed our table
}

func (e *events) open(own uint32) (err error) {
	e.kicks, e.own = make(chan struct{}, 1), own
	if e.nft, err = nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES); err != nil {
		return fmt.Errorf("subscribe to nftables events: %w", err)
	}
	if e.links, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK); err != nil {
		return fmt.Errorf("subscribe to link events: %w", err)
	}
	for _, s := range []*nl.NetlinkSocket{e.nft, e.links} {
		if s.SetReceiveBufferSize(eventBuffer, true) != nil {
			_ = s.SetReceiveBufferSize(eventBuffer, false) // smaller, and a look more often
		}
	}
	return nil
}

func (e *events) close() {
	for _, s := range []*nl.NetlinkSocket{e.nft, e.links} {
		if s != nil {
			s.Close()
		}
	}
}

func (e *events) kick() {
	select {
	case e.kicks <- struct{}{}:
	default: // a look is due already
	}
}

// know takes the names of the links as they are known now.
func (e *events) know(names map[int]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.names = maps.Clone(names)
}

// culprit is " by NAME (pid N)", if it is known already who changed our table
// since the last call.
func (e *events) culprit() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	who := e.who
	e.who = ""
	return who
}

// listen calls heard with each message of the socket until that is closed. A
// message that was lost is as good as one that was heard.
func (e *events) listen(s *nl.NetlinkSocket, heard func(syscall.NetlinkMessage)) error {
	for {
		msgs, from, err := s.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			e.kick()
			continue
		case err != nil:
			return err
		case from.Pid != nl.PidKernel:
			continue
		}
		for _, m := range msgs {
			heard(m)
		}
	}
}

// link hears of a link. News is one that is new, gone, or renamed.
func (e *events) link(m syscall.NetlinkMessage) {
	if len(m.Data) < unix.SizeofIfInfomsg {
		return
	}
	index := int(int32(binary.NativeEndian.Uint32(m.Data[4:]))) // the field is signed
	attrs, err := nl.ParseRouteAttr(m.Data[unix.SizeofIfInfomsg:])
	if err != nil {
		return
	}
	e.mu.Lock()
	known := e.names[index]
	e.mu.Unlock()
	if m.Header.Type == unix.RTM_DELLINK || known != str(attrs, unix.IFLA_IFNAME) {
		e.kick()
	}
}

// rules returns what hears of nftables: a transaction is a message for each
// object and one that says who did it.
func (e *events) rules() func(syscall.NetlinkMessage) {
	ours := false
	return func(m syscall.NetlinkMessage) {
		if len(m.Data) < genMsgLen || m.Header.Pid == e.own {
			return
		}
		attrs, err := nl.ParseRouteAttr(m.Data[genMsgLen:])
		if err != nil {
			return
		}
		if m.Header.Type != nftType(unix.NFT_MSG_NEWGEN) {
			const table = 1 // the first attribute of every kind of object but this
			ours = ours || m.Data[0] == unix.NFPROTO_NETDEV && str(attrs, table) == tableName
			return
		}
		if ours {
			e.mu.Lock()
			e.who = ""
			if name := str(attrs, unix.NFTA_GEN_PROC_NAME); name != "" {
				e.who = fmt.Sprintf(" by %s (pid %d)", name, number(attrs, unix.NFTA_GEN_PROC_PID))
			}
			e.mu.Unlock()
			e.kick()
		}
		ours = false
	}
}

// Run looks after the table until ctx ends: when somebody changes it, when a
// device is renamed or made again, and every ten seconds. What is wrong it repairs
// at once, keeps leases as they were, and calls lost with one line for a human.
// The error says that the kernel's netlink cannot be used any more.
func (t *Table) Run(ctx context.Context, lost func(what string)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer t.events.close() // ends what follows
	died := make(chan error, 2)
	wg.Go(func() { died <- t.events.listen(t.events.nft, t.events.rules()) })
	wg.Go(func() { died <- t.events.listen(t.events.links, t.events.link) })
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	kicks := t.events.kicks
	t.events.kick()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-died:
			return fmt.Errorf("receive events: %w", err)
		case <-pause.C:
			kicks = t.events.kicks
			continue
		case <-kicks:
			kicks = nil
			pause.Reset(checkPause)
		case <-tick.C:
		}
		news, err := t.look()
		for _, what := range news {
			lost(what)
		}
		if err != nil {
			t.log.Warn("cannot repair the lease table", "error", err)
		}
	}
}

// look finds what is wrong and repairs it.
func (t *Table) look() (news []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.list == nil {
		return nil, nil // before the first Set, what a former process left stays
	}
	if err = t.verify(); err == nil {
		err = t.reconcile()
	}
	news, t.news = t.news, nil
	return news, err
}
