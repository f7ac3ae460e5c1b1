package vrrpnet

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vipd/vipd/pkg/vrrp"
)

// Counters is what a [Conn] has seen since it was opened. Every datagram that
// was read is either delivered or in Dropped; those under
// [vrrp.CauseOverflow] the kernel dropped before they could be read, and they
// are not in Received.
type Counters struct {
	Received  uint64                   // datagrams read
	Delivered uint64                   // adverts of members
	Sent      uint64                   // datagrams that left; several per advert with several unicast peers
	Unsent    uint64                   // datagrams that did not
	Dropped   map[vrrp.Cause]uint64    // every cause, also those that are 0
	Anomalies map[vrrp.Anomaly]uint64  // in adverts that were delivered; every anomaly
	Checksums map[vrrp.Checksum]uint64 // forms in delivered adverts of version 3 over IPv4; both
	Refused   map[uint8]Refusals       // for a cause of authentication, by VRID; only those with any
}

// Refusals are adverts of a virtual router that were good but for authentication.
type Refusals struct {
	Count  uint64
	Source netip.Addr // of the last one, as it claims
	Detail string     // about it, for a human
	Time   time.Time  // when that was
}

type counters struct {
	received, delivered, sent, unsent atomic.Uint64

	dropped   map[vrrp.Cause]*atomic.Uint64
	anomalies map[vrrp.Anomaly]*atomic.Uint64
	checksums [2]atomic.Uint64

	mu      sync.Mutex
	refused map[uint8]Refusals
}

func (c *counters) init() {
	c.dropped = map[vrrp.Cause]*atomic.Uint64{}
	for _, cause := range vrrp.Causes() {
		c.dropped[cause] = &atomic.Uint64{}
	}
	c.anomalies = map[vrrp.Anomaly]*atomic.Uint64{}
	for _, anomaly := range vrrp.Anomalies() {
		c.anomalies[anomaly] = &atomic.Uint64{}
	}
	c.refused = map[uint8]Refusals{}
}

// refuse counts an advert of a member.
func (c *counters) refuse(d vrrp.Datagram, no *vrrp.Discard) {
	const offVRID = 1
	c.mu.Lock()
	defer c.mu.Unlock()
	vrid := d.Payload[offVRID]
	c.refused[vrid] = Refusals{Count: c.refused[vrid].Count + 1, Source: d.Source, Detail: no.Detail, Time: d.Time}
}

// Counters reports what was seen so far. Drops by the kernel are those up to
// now, or up to the last call before Close.
func (c *Conn) Counters() Counters {
	c.overflow()
	out := Counters{
		Received:  c.count.received.Load(),
		Delivered: c.count.delivered.Load(),
		Sent:      c.count.sent.Load(),
		Unsent:    c.count.unsent.Load(),
		Dropped:   map[vrrp.Cause]uint64{},
		Anomalies: map[vrrp.Anomaly]uint64{},
		Checksums: map[vrrp.Checksum]uint64{
			vrrp.ChecksumPseudoHeader: c.count.checksums[vrrp.ChecksumPseudoHeader].Load(),
			vrrp.ChecksumMessage:      c.count.checksums[vrrp.ChecksumMessage].Load(),
		},
	}
	for cause, n := range c.count.dropped {
		out.Dropped[cause] = n.Load()
	}
	for anomaly, n := range c.count.anomalies {
		out.Anomalies[anomaly] = n.Load()
	}
	c.count.mu.Lock()
	defer c.count.mu.Unlock()
	out.Refused = maps.Clone(c.count.refused)
	return out
}

// overflow takes over the kernel's own count of what found the buffer full.
func (c *Conn) overflow() {
	const drops = 8 // SK_MEMINFO_DROPS
	var info [9 * 4]byte
	if n, err := c.bound.GetsockoptBytes(unix.SOL_SOCKET, unix.SO_MEMINFO, info[:]); err != nil || n < len(info) {
		return // closed
	}
	c.count.dropped[vrrp.CauseOverflow].Store(uint64(binary.NativeEndian.Uint32(info[4*drops:])))
}
