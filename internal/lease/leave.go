package lease

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// rulesVersion names what the rules of the table do and how frames speak to them. It
// is to be raised with every change of that: names and numbers of rules are compared
// with what is there, and not what they do.
const rulesVersion = 1

// Left is the table as a process leaves it to the next one, with leases that go
// on. It is valid as long as nobody changes the table.
type Left struct {
	Rules    int             `json:"rules"` // version of them
	Flags    uint32          `json:"flags"`
	Absent   bool            `json:"absent"`
	LastID   uint32          `json:"last_id"`
	Timeouts []time.Duration `json:"timeouts_ns"`
	VIPs     []LeftVIP       `json:"vips"`
}

// LeftVIP is one VIP in it.
type LeftVIP struct {
	Guarded
	ID   uint32
	Ends bool // its lease is not to go on
}

// Fits reports whether this release goes on with the rules of the table as they were
// left. The error says which version they have.
func (l Left) Fits() error {
	if l.Rules != rulesVersion {
		return fmt.Errorf("table netdev %s has rules of version %d, not %d", tableName, l.Rules, rulesVersion)
	}
	return nil
}

// Leave has Close leave the leases of these VIPs as they are, and says what the next
// process must know to go on with them.
func (t *Table) Leave(names []string) (Left, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fast.Lock()
	defer t.fast.Unlock()
	if t.have == nil {
		return Left{}, errors.New("leave the lease table: it is not known how it is")
	}
	left := Left{Rules: rulesVersion, Flags: t.flags, Absent: t.absent, LastID: t.lastID, Timeouts: t.have.timeouts}
	for _, g := range t.list {
		v := t.vips[g.Name]
		ends := !slices.Contains(names, g.Name) || !v.armed
		left.VIPs = append(left.VIPs, LeftVIP{Guarded: g, ID: v.id, Ends: ends})
		v.left = !ends
	}
	return left, nil
}

// Refused says why leases of the last run, which Open was told of, do not go on; nil
// when they do.
func (t *Table) Refused() error { return t.refused }

// adopt makes the table of a former process ours as it is: only frames of this
// process count from now on. Whatever lives in it lives on for as long as it
// would have, and not a moment longer. The error says why nothing was adopted.
func (t *Table) adopt(left Left) error {
	if err := left.Fits(); err != nil {
		return err
	}
	exists, err := t.claimable()
	switch {
	case err != nil:
		return err
	case !exists:
		return fmt.Errorf("table netdev %s is gone", tableName)
	}
	t.flags, t.absent, t.lastID = left.Flags, left.Absent, left.LastID
	ids := map[uint32]bool{}
	for _, v := range left.VIPs {
		t.list = append(t.list, v.Guarded)
		t.vips[v.Name] = &vip{name: v.Name, id: v.ID, timeout: v.Timeout.Truncate(time.Millisecond), armed: !v.Ends}
		ids[v.ID] = true
	}
	if err := validate(t.list); err != nil {
		return err
	}
	if len(ids) != len(left.VIPs) {
		return errors.New("two VIPs have one number")
	}
	links, err := t.links()
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	t.have = &layout{timeouts: left.Timeouts}
	t.have = t.want(links)
	found, err := t.inventory()
	if err != nil {
		return err
	}
	if !slices.Equal(found, inventoryOf(t.have)) {
		return fmt.Errorf("table netdev %s is not as it was left", tableName)
	}
	if err := t.reseal(); err != nil {
		return err
	}
	for _, v := range left.VIPs {
		if v.Ends {
			_, _ = t.frames.say(end, v.ID, 0) // it ends by itself otherwise
		}
	}
	return nil
}

// reseal has the rules listen to the frames of this process, and to no others.
func (t *Table) reseal() error {
	w := writer{batch: batch{table: tableName}}
	w.add("empty chain "+framesChain, unix.NFT_MSG_DELRULE, 0,
		text(unix.NFTA_RULE_TABLE, tableName), text(unix.NFTA_RULE_CHAIN, framesChain))
	w.rule(framesChain, frameRule(t.frames.cookie[:]))
	return errors.Join(w.err, t.nft.do(&w.batch))
}

// disown forgets what adopt has found.
func (t *Table) disown() {
	t.flags, t.absent, t.lastID = 0, false, 0
	t.list, t.have, t.vips = nil, nil, map[string]*vip{}
	clear(t.seen)
}
