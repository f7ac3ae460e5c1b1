package testenv

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ProbeRate is the number of probes a second when none is given.
const ProbeRate = 1000

// ProbeTimeout is how long a probe waits for its answer. What comes later is
// counted as lost, and as late.
const ProbeTimeout = time.Second

// receiveTimeout is how soon a blocked receive looks whether it should end.
const receiveTimeout = 20 * time.Millisecond

var proberIDs atomic.Uint32 // tells the probers of this process apart

// Prober is a client: it sends numbered UDP probes to one address at a steady
// rate and notes which host answers each, and when. Times of sending are those
// of the real send, times of answers are the kernel's. A prober that was not
// scheduled leaves probes out ([Report.Skipped]) rather than send a burst, so
// that a gap is never made or hidden by the measuring machine.
type Prober struct {
	id     uint32
	fds    []int // one for each flow
	target netip.AddrPort
	to     unix.Sockaddr
	period time.Duration
	start  time.Time

	quit chan struct{} // closed by Stop: send no more
	wg   sync.WaitGroup

	mu       sync.Mutex
	t        timeline
	waiters  []*waiter
	quitting bool
	over     bool // closed: receive no more
}

// waiter waits for the answer of a host to a probe sent at or after a time.
type waiter struct {
	host  string
	after time.Duration
	got   chan Probe
}

// Probe starts a prober on the host at rate probes a second, [ProbeRate] if
// rate is 0. It runs until [Prober.Stop] or the end of the lab, and keeps 24
// bytes for each probe. All probes are of one flow.
func (h *Host) Probe(target netip.AddrPort, rate int) (*Prober, error) {
	return h.ProbeFlows(target, rate, 1)
}

// ProbeFlows is Probe with so many flows, 1–1024: the probes leave from as many
// ports in turn, so that routers with several next hops use all of them.
func (h *Host) ProbeFlows(target netip.AddrPort, rate, flows int) (*Prober, error) {
	if flows < 1 || flows > 1024 {
		return nil, fmt.Errorf("probe %s: %d flows are outside 1–1024", target, flows)
	}
	if rate == 0 {
		rate = ProbeRate
	}
	if rate < 0 || rate > 100_000 {
		return nil, fmt.Errorf("probe %s: rate %d is outside 1–100000", target, rate)
	}
	p := &Prober{
		id: proberIDs.Add(1), target: target, period: time.Second / time.Duration(rate),
		quit: make(chan struct{}), fds: make([]int, 0, flows),
	}
	err := h.NS.Do(func() error {
		for range flows {
			if err := p.open(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		p.close()
		return nil, fmt.Errorf("probe %s from %s: %w", target, h.Name, err)
	}
	p.start = time.Now()
	p.wg.Go(p.receive)
	p.wg.Go(p.send)
	h.lab.onClose(func() error { p.Stop(); return nil })
	return p, nil
}

func (p *Prober) open() error {
	family := unix.AF_INET6
	if ip := p.target.Addr(); ip.Is4() {
		family, p.to = unix.AF_INET, &unix.SockaddrInet4{Port: int(p.target.Port()), Addr: ip.As4()}
	} else {
		p.to = &unix.SockaddrInet6{Port: int(p.target.Port()), Addr: ip.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	p.fds = append(p.fds, fd)
	roomy(fd)
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
}

func (p *Prober) close() {
	for _, fd := range p.fds {
		_ = unix.Close(fd)
	}
}

// send keeps to absolute times on a thread of its own: a runtime timer would be
// a millisecond late, which is a whole probe.
func (p *Prober) send() {
	runtime.LockOSThread()                                                  // never unlocked: the thread ends, with its timer slack
	_, _, _ = unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, 1, 0) // without it sends are 50 µs late
	zero, err := monotonic()
	if err != nil {
		return // not possible on Linux
	}
	base := time.Since(p.start) // where zero lies on the prober's own scale
	msg := binary.BigEndian.AppendUint32(nil, probeMagic)
	msg = binary.BigEndian.AppendUint32(msg, p.id)
	msg = append(msg, make([]byte, 8)...)
	for due := time.Duration(0); ; {
		sleepUntil(zero + due.Nanoseconds())
		select {
		case <-p.quit:
			return
		default:
		}
		now := time.Since(p.start)
		p.mu.Lock()
		seq := p.t.add(now)
		p.mu.Unlock()
		binary.BigEndian.PutUint64(msg[8:], uint64(seq))
		_ = unix.Sendto(p.fds[seq%len(p.fds)], msg, 0, p.to) // without a route or a link the probe is lost, which is what we measure
		due += p.period
		if late := time.Since(p.start) - base - due; late >= p.period {
			n := late / p.period
			due += n * p.period
			p.mu.Lock()
			p.t.skipped += int(n)
			p.mu.Unlock()
		}
	}
}

func monotonic() (int64, error) {
	var ts unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano(), err
}

func sleepUntil(at int64) {
	ts := unix.NsecToTimespec(at)
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

func (p *Prober) receive() {
	ready := make([]unix.PollFd, len(p.fds))
	for i, fd := range p.fds {
		ready[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN} // from the kernel
	}
	buf, oob := make([]byte, 512), make([]byte, 128)
	for {
		if n, err := unix.Poll(ready, int(receiveTimeout.Milliseconds())); err == nil && n > 0 {
			for _, r := range ready {
				if r.Revents == 0 {
					continue
				}
				n, oobn, _, from, err := unix.Recvmsg(int(r.Fd), buf, oob, unix.MSG_DONTWAIT)
				if err == nil {
					p.answer(buf[:n], stamp(oob[:oobn]), from)
				}
			}
			continue
		}
		p.mu.Lock()
		over := p.over
		p.mu.Unlock()
		if over {
			return
		}
	}
}

// answer notes one received datagram.
func (p *Prober) answer(b []byte, at time.Time, from unix.Sockaddr) {
	if len(b) < probeLen || binary.BigEndian.Uint32(b) != probeMagic || binary.BigEndian.Uint32(b[4:]) != p.id {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if addrPortOf(from) != p.target {
		p.t.misaddressed++
		return
	}
	probe, ok := p.t.answered(binary.BigEndian.Uint64(b[8:]), at.Sub(p.start), b[probeLen:])
	if !ok {
		return
	}
	keep := p.waiters[:0]
	for _, w := range p.waiters {
		if (w.host == "" || w.host == p.t.names[probe.host]) && probe.sent >= w.after {
			w.got <- Probe{
				Seq: int(binary.BigEndian.Uint64(b[8:])), Sent: p.start.Add(probe.sent),
				Answered: p.start.Add(probe.heard), Host: p.t.names[probe.host],
			}
			continue
		}
		keep = append(keep, w)
	}
	p.waiters = keep
}

func addrPortOf(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// stamp is the kernel's time of arrival, on the clock of time.Now.
func stamp(oob []byte) time.Time {
	now := time.Now()
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) >= 16 {
			sec, nsec := binary.NativeEndian.Uint64(data), binary.NativeEndian.Uint64(data[8:])
			return now.Add(-max(0, now.Sub(time.Unix(int64(sec), int64(nsec)))))
		}
		oob = rest
	}
	return now
}

// WaitAnswer returns the first answer by the named host, by any host for "", to
// a probe sent after the call.
func (p *Prober) WaitAnswer(ctx context.Context, host string) (Probe, error) {
	w := &waiter{host: host, after: time.Since(p.start), got: make(chan Probe, 1)}
	p.mu.Lock()
	p.waiters = append(p.waiters, w)
	p.mu.Unlock()
	select {
	case probe := <-w.got:
		return probe, nil
	case <-ctx.Done():
		return Probe{}, fmt.Errorf("wait for an answer of %q: %w", host, ctx.Err())
	}
}

// Report tells about the probes sent so far. Probes younger than [ProbeTimeout]
// without an answer are pending, not lost.
func (p *Prober) Report() *Report {
	p.mu.Lock()
	t, now, over := p.t.clone(), time.Since(p.start), p.over // the rest may take longer than a probe
	p.mu.Unlock()
	return t.report(p.start, p.period, now, over)
}

// Sent is how many probes have left so far.
func (p *Prober) Sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.t.probes)
}

// Stop sends no more, gives the last probes up to [ProbeTimeout] to be answered,
// and returns the report. Further calls return the same.
func (p *Prober) Stop() *Report {
	p.mu.Lock()
	first := !p.quitting
	p.quitting = true
	p.mu.Unlock()
	if first {
		close(p.quit)
		ctx, cancel := context.WithTimeout(context.Background(), ProbeTimeout)
		_ = Until(ctx, func() bool { return !p.awaits() }) // the rest is lost
		cancel()
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
	}
	p.wg.Wait()
	if first {
		p.close()
	}
	return p.Report()
}

func (p *Prober) awaits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.t.pending(time.Since(p.start))
}
