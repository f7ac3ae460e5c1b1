package testenv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// WhoHasEvery is the usual time between two questions.
const WhoHasEvery = 20 * time.Millisecond

// WhoHas asks again and again who holds an address, by ARP or ND, and notes
// every host that answers: more than one answer to a question means more than
// one holder. It asks as an address probe does (RFC 5227, Section 2.1.1), from a
// MAC that is nobody's, so that no host learns a new MAC of another by it.
type WhoHas struct {
	ip    netip.Addr
	tap   *Observer
	out   *Injector
	from  net.HardwareAddr
	quit  chan struct{}
	once  sync.Once
	wg    sync.WaitGroup
	asked []time.Time // written by ask only, read after wg.Wait
}

// Holder is a MAC that answered.
type Holder struct {
	MAC         string
	Answers     int
	First, Last time.Time
}

// HolderReport tells who answered for an address. An answer belongs to the last
// question before it.
type HolderReport struct {
	Asked     int               // questions
	Silent    int               // of them, without an answer
	Dual      int               // of them, with more than one
	FirstDual time.Time         // when the first such question was asked; zero without one
	LastDual  time.Time         // the last
	Holders   map[string]Holder // by MAC
}

// WhoHas starts asking from dev of the host for ip every so often,
// [WhoHasEvery] if every is 0, until [WhoHas.Stop].
func (h *Host) WhoHas(dev string, ip netip.Addr, every time.Duration) (*WhoHas, error) {
	if every <= 0 {
		every = WhoHasEvery
	}
	h.mu.Lock()
	h.asks++
	n := h.asks
	h.mu.Unlock()
	w := &WhoHas{
		ip: ip, quit: make(chan struct{}),
		from: net.HardwareAddr{0x02, 0x76, 0x70, 0x72, byte(h.index), byte(n)}, // locally administered
	}
	var err error
	if w.tap, err = h.Observe(dev); err != nil {
		return nil, fmt.Errorf("ask for %s: %w", ip, err)
	}
	if w.out, err = h.Injector(dev); err != nil {
		return nil, errors.Join(fmt.Errorf("ask for %s: %w", ip, err), w.tap.Close())
	}
	w.wg.Go(func() { w.ask(every) })
	h.lab.onClose(func() error { w.Stop(); return nil })
	return w, nil
}

func (w *WhoHas) ask(every time.Duration) {
	question := w.question()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		w.asked = append(w.asked, time.Now())
		_, _ = w.out.Send(question) // on a dead link the question stays without an answer
		select {
		case <-tick.C:
		case <-w.quit:
			return
		}
	}
}

// question is the frame that asks.
func (w *WhoHas) question() []byte {
	if w.ip.Is4() {
		b := append(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, w.from...)
		b = binary.BigEndian.AppendUint16(b, unix.ETH_P_ARP)
		b = append(b, 0, 1, 8, 0, 6, 4, 0, 1)
		b = append(append(b, w.from...), 0, 0, 0, 0)
		return append(append(b, 0, 0, 0, 0, 0, 0), w.ip.AsSlice()...)
	}
	target := w.ip.As16()
	group := netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: target[13], 14: target[14], 15: target[15]})
	// A link-local source made from the MAC, as RFC 4291, Appendix A does. From
	// :: the answer would go to all nodes.
	src := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: w.from[0] ^ 2, 9: w.from[1], 10: w.from[2], 11: 0xff, 12: 0xfe,
		13: w.from[3], 14: w.from[4], 15: w.from[5]})
	msg := append([]byte{typeNS, 0, 0, 0, 0, 0, 0, 0}, target[:]...)
	msg = append(append(msg, 1, 1), w.from...)
	binary.BigEndian.PutUint16(msg[2:], ^onesSum(msg, pseudoSum(src, group, unix.IPPROTO_ICMPV6, len(msg))))
	return Packet{
		SourceMAC: w.from, DestinationMAC: net.HardwareAddr{0x33, 0x33, 0xff, target[13], target[14], target[15]},
		Source: src, Destination: group, Protocol: unix.IPPROTO_ICMPV6, HopLimit: 255, Payload: msg,
	}.Marshal()
}

// answer is the MAC that a frame gives as the holder; nil if it is no answer to
// this prober.
func (w *WhoHas) answer(f Frame) net.HardwareAddr {
	switch {
	case f.Out || f.Destination.String() != w.from.String():
		return nil
	case f.ARP != nil && f.ARP.Reply && f.ARP.Sender == w.ip:
		return f.ARP.SenderMAC
	case f.ND != nil && f.ND.Advertisement && f.ND.Target == w.ip && f.ND.LinkAddress != nil:
		return f.ND.LinkAddress
	}
	return nil
}

// Stop asks no more and reports. Further calls return the same.
func (w *WhoHas) Stop() *HolderReport {
	w.once.Do(func() { close(w.quit) })
	w.wg.Wait()
	_ = w.tap.Close() // a tap that fails to close has its frames all the same
	_ = w.out.Close()
	r := &HolderReport{Asked: len(w.asked), Holders: map[string]Holder{}}
	frames := w.tap.Frames()
	for i, at := range w.asked {
		n := 0
		for ; len(frames) > 0 && (i+1 == len(w.asked) || frames[0].Time.Before(w.asked[i+1])); frames = frames[1:] {
			if mac := w.answer(frames[0]); mac != nil {
				n++
				r.note(mac.String(), frames[0].Time)
			}
		}
		switch {
		case n == 0:
			r.Silent++
		case n > 1:
			r.Dual++
			r.LastDual = at
			if r.FirstDual.IsZero() {
				r.FirstDual = at
			}
		}
	}
	return r
}

func (r *HolderReport) note(mac string, at time.Time) {
	h := r.Holders[mac]
	if h.Answers == 0 {
		h.MAC, h.First = mac, at
	}
	h.Answers++
	h.Last = at
	r.Holders[mac] = h
}
