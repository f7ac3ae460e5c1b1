package lease

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Flags of a table: only its owner changes it, and it outlives the owner. One
// without the other must not be: an owned table that does not persist goes with
// its owner's socket, which opens everything.
const (
	tableOwner   = 2
	tablePersist = 4 // Linux 6.9
)

const probeName = "vipd-probe" // of the table for trying things out

// Open makes sure that this kernel can guard addresses, by doing all of it once
// in a table of its own, and takes over the table of a former process: what that
// one guarded stays so, without any lease, until the first Set. With left, and
// while the table is as that says, leases live on: the first Renew finds out which
// do. vmacName names the device with the virtual MAC of a virtual router. The error
// says what is missing, or that another process owns the table.
func Open(log *slog.Logger, vmacName func(parentIndex int, family4 bool, vrid uint8) string, left *Left) (*Table, error) {
	t := &Table{log: log, vmacName: vmacName, seen: map[int]string{}, vips: map[string]*vip{}}
	err := t.open()
	if err == nil && left != nil {
		if err = t.adopt(*left); err == nil {
			return t, nil
		}
		t.disown()
		t.refused = err
		err = nil
	}
	if err == nil {
		err = t.probe()
	}
	if err == nil {
		err = t.takeOver()
	}
	if err != nil {
		t.release()
		return nil, explain(err)
	}
	return t, nil
}

func (t *Table) open() (err error) {
	if t.nft, err = openNfnl(); err != nil {
		return err
	}
	if t.frames, err = openFrames(); err != nil {
		return err
	}
	if t.route, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open netlink socket: %w", err)
	}
	return t.events.open(t.nft.port)
}

// release closes whatever is open.
func (t *Table) release() {
	if t.nft != nil {
		t.nft.close()
	}
	if t.frames != nil {
		t.frames.close()
	}
	if t.route != nil {
		t.route.Close()
	}
	t.events.close()
}

// probe tries everything that is needed in a table that is then removed.
func (t *Table) probe() error {
	const timeout, id = 10 * time.Second, 1
	t.flags = tableOwner | tablePersist
	build := func() error {
		w := writer{batch: batch{table: probeName}}
		w.skeleton(false, t.flags, t.frames.cookie[:])
		w.rules(verbsChain, verbRules([]time.Duration{timeout}))
		w.change(unix.NFT_MSG_NEWSETELEM, grants, []*nl.RtAttr{element(idBytes(id), millis(unix.NFTA_SET_ELEM_TIMEOUT, timeout))})
		w.makeZone("lo")
		w.hook(ingressChain("lo"), "lo", hookIngress)
		return errors.Join(w.err, t.nft.do(&w.batch))
	}
	defer t.removeProbe()
	t.removeProbe() // of a process that was killed
	err := build()
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) { // perhaps only the flags
		t.flags = 0
		if again := build(); again == nil {
			t.log.Info("this kernel lets others remove the lease table; it is watched")
			err = nil
		}
	}
	if err != nil {
		return err
	}
	for _, try := range []struct {
		verb verb
		want bool
		what string
	}{
		{renew, false, "renewed a lease that was never armed"},
		{arm, true, "did not arm a lease"},
		{arm, false, "armed a lease twice with one grant"},
		{renew, true, "did not renew a lease"},
		{end, true, "did not end a lease"},
		{renew, false, "renewed a lease that had ended"},
	} {
		if done, err := t.frames.say(try.verb, id, timeout); err != nil {
			return err
		} else if done != try.want {
			return errors.New("try leases: the kernel " + try.what)
		}
	}
	w := writer{batch: batch{table: probeName}}
	w.hook(ingressChain("absent"), "vipd-absent", hookIngress)
	t.absent = t.nft.do(&w.batch) == nil
	return nil
}

func (t *Table) removeProbe() {
	b := batch{table: probeName}
	b.add("remove table "+probeName, unix.NFT_MSG_DELTABLE, 0, text(unix.NFTA_TABLE_NAME, probeName))
	_ = t.nft.do(&b) // it is not there, or owned by another process that starts now
}

// takeOver makes the table ours and ends the leases of a former process.
func (t *Table) takeOver() error {
	exists, err := t.claimable()
	if err != nil || !exists {
		return err
	}
	b := batch{table: tableName}
	for _, set := range []string{leases, grants} {
		b.add("empty set "+set, unix.NFT_MSG_DELSETELEM, 0, text(unix.NFTA_SET_ELEM_LIST_TABLE, tableName),
			text(unix.NFTA_SET_ELEM_LIST_SET, set))
	}
	if err := t.nft.do(&b); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	t.log.Info("lease table of an earlier run taken over, nothing is armed")
	return nil
}

// explain adds to an error of the kernel what it means here.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w (it takes CAP_NET_ADMIN and CAP_NET_RAW)", err)
	case errors.Is(err, unix.EPROTONOSUPPORT):
		return fmt.Errorf("%w (the kernel has no nftables)", err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("%w (it takes nftables in the family netdev with egress: Linux 5.16 with NETFILTER_EGRESS)", err)
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("%w (lo is down)", err)
	}
	return err
}
