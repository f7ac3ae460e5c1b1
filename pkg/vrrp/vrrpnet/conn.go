package vrrpnet

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/mdlayher/socket"

	"github.com/vipd/vipd/pkg/vrrp"
)

// ErrGone is what [Conn.Run] returns when the interface was removed, renamed or
// moved to another network namespace. A new Conn is needed, for an interface
// that is created again under the same name is another one to the kernel.
var ErrGone = errors.New("interface is gone")

// Received is an advert of a member.
type Received struct {
	Source   netip.Addr
	Advert   vrrp.Advert
	Checksum vrrp.Checksum
	Signed   bool // by a key of ours
}

// Conn sends and receives adverts on one interface in one family. Its methods
// may be called from several goroutines, Run from one at a time.
type Conn struct {
	name    string
	index   int
	family4 bool
	log     *slog.Logger

	links   *links
	bound   *socket.Conn // receives
	direct  *os.File     // sends
	virtual *os.File     // sends from virtual MACs
	filter  atomic.Pointer[vrrp.Filter]
	count   counters
	in      *receiver

	mu         sync.Mutex        // of the three below
	out        *sender           // through direct
	outVirtual *sender           // through virtual
	signers    [256]*vrrp.Signer // by VRID; nil = adverts are not authenticated
}

// Listen opens a Conn on the interface of that name, for IPv4 or IPv6, and joins
// the VRRP group there. It believes nobody before [Conn.SetMembers]. It needs
// CAP_NET_RAW and CAP_NET_ADMIN. The error wraps [syscall.ENODEV] when there is
// no such interface or when it has no IPv6.
func Listen(ifname string, family4 bool, log *slog.Logger) (*Conn, error) {
	c := &Conn{name: ifname, family4: family4, log: log.With("interface", ifname, "family", family(family4))}
	if err := c.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for %s adverts on %s: %w", family(family4), ifname, err), c.Close())
	}
	c.filter.Store(vrrp.NewFilter(nil))
	c.count.init()
	return c, nil
}

func family(family4 bool) string {
	if family4 {
		return "ipv4"
	}
	return "ipv6"
}

func (c *Conn) open() error {
	var err error
	// First, so that no event after the lookup is missed.
	if c.links, err = openLinks(); err != nil {
		return err
	}
	if c.index, err = c.links.index(c.name); err != nil {
		return err
	}
	if c.bound, err = openBound(c.index, c.family4); err != nil {
		return err
	}
	if c.direct, err = openSending(c.index, c.family4); err != nil {
		return err
	}
	if c.virtual, err = openSending(0, c.family4); err != nil {
		return err
	}
	var bound, direct, virtual syscall.RawConn
	if bound, err = c.bound.SyscallConn(); err != nil {
		return err
	}
	if direct, err = c.direct.SyscallConn(); err != nil {
		return err
	}
	if virtual, err = c.virtual.SyscallConn(); err != nil {
		return err
	}
	c.in = newReceiver(bound, c.family4)
	c.out, c.outVirtual = newSender(direct, c.family4), newSender(virtual, c.family4)
	return nil
}

// SetMembers says whose adverts to believe from now on, how ours are authenticated,
// and which addresses are this host's own: adverts that claim to come from one of
// those are refused. All of it replaces what was set before, but that a member which
// is left out authenticates what it still has to send.
func (c *Conn) SetMembers(own []netip.Addr, members ...vrrp.Membership) {
	c.filter.Store(vrrp.NewFilter(own, members...))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range members {
		if m.Auth == nil {
			c.signers[m.VRID] = nil
			continue
		}
		c.signers[m.VRID] = vrrp.NewSigner(*m.Auth, c.signers[m.VRID])
	}
}

// Close ends Run and closes the sockets. Closing twice does no harm.
func (c *Conn) Close() error {
	var errs []error
	if c.bound != nil {
		errs = append(errs, c.bound.Close())
	}
	for _, f := range []*os.File{c.direct, c.virtual} {
		if f == nil {
			continue
		}
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if c.links != nil {
		errs = append(errs, c.links.sock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close sockets on %s: %w", c.name, err)
	}
	return nil
}
