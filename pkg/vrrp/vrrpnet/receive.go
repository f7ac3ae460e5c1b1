package vrrpnet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/internal/mmsg"
	"github.com/vipd/vipd/pkg/vrrp"
)

const (
	batch      = 64              // datagrams read at once
	pollMost   = 32              // batches that one Poll reads
	maxHeader4 = 60              // IPv4 header with all options
	maxMessage = 8 + 255*16 + 28 // header, list and trailer; version 2 is shorter
	bufferLen  = maxHeader4 + maxMessage
)

// Run receives until the context ends and then returns nil. deliver gets the
// adverts of members in the order of their arrival, some at a time and one call
// after the other; it must be quick, and may keep the adverts but not the slice.
// When the interface is removed, renamed or moved away, Run returns an error
// that wraps [ErrGone] at once, whether adverts come or not; a link that only
// goes down does not end it.
func (c *Conn) Run(ctx context.Context, deliver func([]Received)) error {
	running, cancel := context.WithCancelCause(ctx)
	if err := c.deadline(time.Time{}); err != nil {
		cancel(nil)
		return err
	}
	// The sockets know no context: a deadline in the past wakes their readers.
	woken := make(chan struct{})
	context.AfterFunc(running, func() {
		_ = c.deadline(time.Unix(1, 0)) // closed: they are awake
		close(woken)
	})
	var readers sync.WaitGroup
	readers.Go(func() { cancel(c.watch()) })
	readers.Go(func() { cancel(c.receive(running, deliver)) })
	readers.Wait()
	<-woken
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("receive adverts on %s: %w", c.name, context.Cause(running))
}

func (c *Conn) deadline(t time.Time) error {
	return errors.Join(c.bound.SetReadDeadline(t), c.links.sock.SetReadDeadline(t))
}

// watch returns when the name no longer leads to the interface that the sockets
// are bound to. What exactly happened to which link does not matter: with every
// event, and with events lost, it looks.
func (c *Conn) watch() error {
	var event [16]byte
	for {
		if index, err := c.links.index(c.name); errors.Is(err, unix.ENODEV) || err == nil && index != c.index {
			return ErrGone
		} else if err != nil {
			return err
		}
		if _, err := c.links.sock.Read(event[:]); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("read link events: %w", err)
		}
	}
}

// receive delivers what comes in until the context ends.
func (c *Conn) receive(ctx context.Context, deliver func([]Received)) error {
	var failed error
	err := c.in.rc.Read(func(fd uintptr) bool {
		failed = c.take(ctx, fd, math.MaxInt, deliver)
		return failed != nil // else wait for more
	})
	if err != nil {
		return err
	}
	return failed
}

// Poll delivers what has come in already, in the caller's goroutine, as Run
// does, beside it if need be. It does not wait, and takes so much at most that a
// flood does not hold it up.
func (c *Conn) Poll(deliver func([]Received)) error {
	var failed error
	err := c.in.rc.Control(func(fd uintptr) { failed = c.take(context.Background(), fd, pollMost, deliver) })
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("poll adverts on %s: %w", c.name, err)
	}
	return nil
}

// take delivers what the socket holds, in at most that many batches.
func (c *Conn) take(ctx context.Context, fd uintptr, batches int, deliver func([]Received)) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	for ; batches > 0 && ctx.Err() == nil; batches-- {
		n, err := c.in.msgs.Receive(fd)
		if err != nil {
			return err
		}
		if adverts := c.judge(n); len(adverts) > 0 {
			deliver(adverts)
		}
		if n < batch {
			break // that was all
		}
	}
	return ctx.Err()
}

// judge returns the adverts of members among the n datagrams that were read.
func (c *Conn) judge(n int) []Received {
	c.count.received.Add(uint64(n))
	filter := c.filter.Load()
	adverts, now := c.in.adverts[:0], time.Now()
	for i := range n {
		d, err := c.in.datagram(i, c.index)
		if err == nil {
			d.Time = now
			var a vrrp.Accepted
			if a, err = filter.Accept(d, &c.in.marks); err == nil {
				c.believed(d, a)
				adverts = append(adverts, Received{d.Source, a.Advert, a.Checksum, a.Signed})
				continue
			}
		}
		c.refused(d, err)
	}
	c.in.adverts = adverts
	return adverts
}

func (c *Conn) believed(d vrrp.Datagram, a vrrp.Accepted) {
	c.count.delivered.Add(1)
	if a.Anomaly != "" {
		c.count.anomalies[a.Anomaly].Add(1)
	}
	if c.family4 && a.Advert.Version == vrrp.Version3 {
		c.count.checksums[a.Checksum].Add(1)
	}
}

func (c *Conn) refused(d vrrp.Datagram, err error) {
	var no *vrrp.Discard
	if !errors.As(err, &no) {
		return
	}
	c.count.dropped[no.Cause].Add(1)
	if no.Cause.Auth() {
		c.count.refuse(d, no)
	}
	if c.log.Enabled(context.Background(), slog.LevelDebug) {
		c.log.Debug("packet refused", "source", d.Source, "destination", d.Destination, "reason", no.Cause, "detail", no.Detail)
	}
}

// receiver is the memory that datagrams are read into.
type receiver struct {
	rc      syscall.RawConn
	family4 bool

	mu      sync.Mutex // of the rest
	msgs    *mmsg.Batch
	bufs    [][bufferLen]byte
	adverts []Received
	marks   vrrp.Marks
}

func newReceiver(rc syscall.RawConn, family4 bool) *receiver {
	r := &receiver{rc: rc, family4: family4, msgs: mmsg.New(mmsg.Receive, batch), bufs: make([][bufferLen]byte, batch)}
	for i := range r.bufs {
		r.msgs.SetBuffer(i, r.bufs[i][:])
	}
	return r
}

// What the kernel handed over is no whole datagram of this interface.
var (
	errInterface = &vrrp.Discard{Cause: vrrp.CauseInterface, Detail: "came in on another interface"}
	errTooLong   = &vrrp.Discard{Cause: vrrp.CauseLength, Detail: "longer than any advert"}
	errHeader    = &vrrp.Discard{Cause: vrrp.CauseLength, Detail: "IP header and length disagree"}
)

// datagram is the i-th one that was read. Its payload is valid until the next
// read. The error is a [*vrrp.Discard].
func (r *receiver) datagram(i, index int) (vrrp.Datagram, error) {
	b := r.bufs[i][:min(r.msgs.Size(i), bufferLen)]
	info := control(r.msgs.Control(i))
	var d vrrp.Datagram
	if r.family4 {
		var err error
		if d, err = header4(b); err != nil {
			return d, err
		}
	} else {
		d = vrrp.Datagram{
			HopLimit:    uint8(info.hopLimit),
			Source:      r.msgs.Source(i),
			Destination: info.destination,
			Payload:     b,
		}
	}
	switch {
	case info.index != index:
		// From the moment between opening the socket and binding it.
		return d, errInterface
	case r.msgs.Cut(i):
		return d, errTooLong
	}
	return d, nil
}

// header4 takes an IPv4 packet apart. The kernel has cut it to its total length
// and checked the header; a packet that is not so did not come from a network.
func header4(b []byte) (vrrp.Datagram, error) {
	const least = 20
	if len(b) < least || b[0]>>4 != 4 {
		return vrrp.Datagram{}, errHeader
	}
	n := int(b[0]&0x0f) * 4
	d := vrrp.Datagram{
		HopLimit:    b[8],
		Source:      netip.AddrFrom4([4]byte(b[12:])),
		Destination: netip.AddrFrom4([4]byte(b[16:])),
	}
	if n < least || n > len(b) || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
		return d, errHeader
	}
	d.Payload = b[n:]
	return d, nil
}

// packetInfo is what the kernel tells about a packet.
type packetInfo struct {
	index       int
	hopLimit    uint32
	destination netip.Addr // IPv6 only
}

func control(b []byte) packetInfo {
	var info packetInfo
	for len(b) >= unix.CmsgLen(0) {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			break
		}
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			info.index = int(binary.NativeEndian.Uint32(data))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			info.destination = netip.AddrFrom16([16]byte(data))
			info.index = int(binary.NativeEndian.Uint32(data[16:]))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			info.hopLimit = binary.NativeEndian.Uint32(data)
		}
		b = rest
	}
	return info
}
