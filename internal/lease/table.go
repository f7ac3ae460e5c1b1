package lease

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// tableName is the table's, in the family netdev.
const tableName = "vipd"

// Guarded is one VIP whose addresses answer only while its lease lives. The host
// itself does not answer on them either: an address that it has on its own account
// must not be one of them.
type Guarded struct {
	Name      string // of the VIP
	Interface string // where the addresses are, or the parent of the virtual MAC's device
	VMAC      bool   // the addresses are on the virtual MAC's device
	Family4   bool   // with VRID: names the virtual MAC's device through Open's vmacName
	VRID      uint8
	Addresses []netip.Addr
	Timeout   time.Duration // how long a renewal lasts: whole milliseconds, up to 4 hours
}

// Expired is the error of Renew: the leases of these VIPs are over.
type Expired []string

func (e Expired) Error() string { return "lease is over: " + strings.Join(e, ", ") }

// Table is the table in the kernel. Its methods may be called from any goroutine.
type Table struct {
	log      *slog.Logger
	vmacName func(parentIndex int, family4 bool, vrid uint8) string
	flags    uint32 // of the table, as far as the kernel has them
	absent   bool   // a chain may name a device that is not there (Linux 6.16)
	events   events
	refused  error // why what a former process left was not adopted

	mu      sync.Mutex // held while netlink answers
	nft     *nfnl
	route   *netlink.Handle
	list    []Guarded
	have    *layout        // what is in the table; nil: unknown, make it anew
	seen    map[int]string // zones of the devices that were hooked, by index
	checked uint32         // the generation of the ruleset that was as it should be
	lastID  uint32
	news    []string // for Run to tell

	fast   sync.Mutex // held for microseconds; taken after mu
	frames *frames
	vips   map[string]*vip
}

// vip is what is known of one VIP's lease.
type vip struct {
	name    string
	id      uint32
	timeout time.Duration
	armed   bool      // by Arm, and not known to be over
	renewed time.Time // before the last frame that the kernel took
	closed  int       // how often Disarm was called
	left    bool      // to the next process, by Leave
}

// Set replaces the list of what is guarded. The addresses of everything in it
// answer nothing unless armed. What is armed and stays in the list stays so,
// whatever else of it changes. All happens at once, or nothing does; the table
// is not touched when it is so already. Addresses of what leaves the list are
// unguarded: remove them before.
func (t *Table) Set(list []Guarded) error {
	if err := validate(list); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = slices.Clone(list)
	t.number()
	return t.reconcile()
}

// tell keeps something for the function given to Run.
func (t *Table) tell(what string) {
	t.news = append(t.news, what)
	t.events.kick()
}

func validate(list []Guarded) error {
	type place struct {
		zone    string
		address netip.Addr
	}
	names, places := map[string]bool{}, map[place]string{}
	for _, g := range list {
		switch {
		case names[g.Name]:
			return fmt.Errorf("guard %s: named twice", g.Name)
		case g.Timeout < time.Millisecond || g.Timeout > maxTimeout:
			return fmt.Errorf("guard %s: timeout %s is outside 1ms–%s", g.Name, g.Timeout, maxTimeout)
		case g.Interface == "" || len(g.Interface) >= unix.IFNAMSIZ:
			return fmt.Errorf("guard %s: interface %q cannot exist", g.Name, g.Interface)
		}
		names[g.Name] = true
		for _, a := range g.Addresses {
			p := place{g.Interface, plain(a)}
			if other, ok := places[p]; ok && other != g.Name {
				return fmt.Errorf("guard %s of %s on %s: %s has it", a, g.Name, g.Interface, other)
			}
			places[p] = g.Name
		}
	}
	return nil
}

// plain is the address as it is in a packet.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// number gives ids to what is new in the list, and forgets what has left it.
// An id is never used again.
func (t *Table) number() {
	t.fast.Lock()
	defer t.fast.Unlock()
	old := t.vips
	t.vips = make(map[string]*vip, len(t.list))
	for _, g := range t.list {
		v := old[g.Name]
		if v == nil {
			t.lastID++
			v = &vip{name: g.Name, id: t.lastID}
		}
		v.timeout = g.Timeout.Truncate(time.Millisecond)
		t.vips[g.Name] = v
	}
}

// Arm gives VIPs leases, as of now: it is for takeovers, and the only way in which a
// lease comes to life. The errors are in the order of the names; nil = it has one. One
// that took longer than half of its timeout fails, because the decision to take over
// may be wrong by then; a change that the kernel refuses fails them all.
func (t *Table) Arm(names ...string) []error {
	errs := make([]error, len(names))
	list := make([]decision, len(names))
	for i, name := range names {
		list[i], errs[i] = t.decide(name)
	}
	t.carryOut(list, errs)
	for i, name := range names {
		if errs[i] != nil {
			errs[i] = fmt.Errorf("arm lease of %s: %w", name, errs[i])
		}
	}
	return errs
}

// decision is to arm a VIP, and what was so when it was taken.
type decision struct {
	*vip
	id     uint32
	at     time.Time
	limit  time.Duration // for carrying it out, and once more for the last step
	closed int
}

func (t *Table) decide(name string) (decision, error) {
	t.fast.Lock()
	defer t.fast.Unlock()
	v := t.vips[name]
	if v == nil {
		return decision{}, errUnguarded
	}
	return decision{vip: v, id: v.id, at: time.Now(), limit: v.timeout / 2, closed: v.closed}, nil
}

var errUnguarded = errors.New("not guarded")

// carryOut grants leases, and takes those whose decisions still stand. The grants go
// to the kernel together, since it takes its time over each change.
func (t *Table) carryOut(list []decision, errs []error) {
	w := writer{batch: batch{table: tableName}}
	for i, d := range list {
		if errs[i] == nil {
			w.change(unix.NFT_MSG_NEWSETELEM, grants, []*nl.RtAttr{element(idBytes(d.id), millis(unix.NFTA_SET_ELEM_TIMEOUT, d.limit))})
		}
	}
	if w.empty() {
		return
	}
	t.mu.Lock()
	err := t.nft.do(&w.batch)
	t.mu.Unlock()
	if err != nil {
		t.events.kick()
	}
	t.fast.Lock()
	defer t.fast.Unlock()
	for i, d := range list {
		switch {
		case errs[i] != nil:
		case err != nil:
			errs[i] = err
		default:
			errs[i] = t.take(d)
		}
	}
}

// take makes a lease of a grant.
func (t *Table) take(d decision) error {
	now := time.Now()
	if took := now.Sub(d.at); took > d.limit {
		return fmt.Errorf("it took %s, longer than half of its timeout", took.Round(10*time.Millisecond))
	}
	if d.vip.closed != d.closed || t.vips[d.name] != d.vip {
		return errors.New("it was disarmed meanwhile")
	}
	done, err := t.frames.say(arm, d.id, d.timeout)
	if err != nil {
		return err
	}
	if !done {
		t.events.kick()
		return errors.New("the table did not take it")
	}
	d.armed, d.renewed = true, now
	return nil
}

// Disarm ends the lease of a VIP at once. It never blocks, so it may be called
// in a turn; an Arm that is under way fails.
func (t *Table) Disarm(name string) error {
	t.fast.Lock()
	defer t.fast.Unlock()
	v := t.vips[name]
	if v == nil {
		return fmt.Errorf("disarm lease of %s: %w", name, errUnguarded)
	}
	v.armed = false
	v.closed++
	if _, err := t.frames.say(end, v.id, 0); err != nil {
		return fmt.Errorf("disarm lease of %s: %w", name, err)
	}
	return nil
}

// early is by how much a lease may end before its time: the kernel counts it in
// jiffies, of up to 10 ms.
const early = 20 * time.Millisecond

// Renew makes leases last their timeout from now. It is for the turn, right
// before the adverts leave: it never blocks, and a renewal takes 1–2 µs. It never
// revives: the error is Expired and names the VIPs whose leases are over, or that
// have none. When somebody has changed the table there may be no error although
// nothing was renewed; Run then looks at once.
func (t *Table) Renew(names []string) error {
	t.fast.Lock()
	defer t.fast.Unlock()
	now := time.Now()
	var expired Expired
	var failed error
	for _, name := range names {
		v := t.vips[name]
		if v == nil || !v.armed {
			expired = append(expired, name)
			continue
		}
		switch done, err := t.frames.say(renew, v.id, v.timeout); {
		case done:
			v.renewed = now
		case now.Sub(v.renewed) >= v.timeout-early:
			v.armed = false
			expired = append(expired, name)
		case err != nil:
			failed = err
		default:
			t.events.kick() // no lease, long before its end
		}
	}
	if expired != nil {
		return expired
	}
	return failed
}

// Alive is which VIPs have a living lease, as the kernel has it.
func (t *Table) Alive() (map[string]bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := map[string]bool{}
	err := t.nft.ask(unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP, func(_ uint16, attrs []syscall.NetlinkRouteAttr) {
		eachElement(attrs, func(key []byte, _ string) { ids[string(key)] = true })
	}, text(unix.NFTA_SET_ELEM_LIST_TABLE, tableName), text(unix.NFTA_SET_ELEM_LIST_SET, leases))
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	t.fast.Lock()
	defer t.fast.Unlock()
	alive := make(map[string]bool, len(t.vips))
	for name, v := range t.vips {
		alive[name] = ids[string(idBytes(v.id))]
	}
	return alive, nil
}

// Close ends every lease. With remove, the end of a polite stop, it deletes the
// table; without, the table stays and keeps everything closed, but for what Leave
// has left to the next process. Nothing else may be called afterwards, and Run must
// have ended.
func (t *Table) Close(remove bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fast.Lock()
	defer t.fast.Unlock()
	for _, v := range t.vips {
		if !v.left {
			_, _ = t.frames.say(end, v.id, 0) // it ends by itself otherwise
		}
	}
	var err error
	if remove {
		b := batch{table: tableName}
		b.add("remove table "+tableName, unix.NFT_MSG_DELTABLE, 0, text(unix.NFTA_TABLE_NAME, tableName))
		if err = t.nft.do(&b); errors.Is(err, unix.ENOENT) {
			err = nil
		}
	}
	t.release()
	return err
}
