package speaker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
)

// silentBeats is how many heartbeats of the core may be missing before nothing is
// announced any more.
const silentBeats = 3

// defaultHeartbeat is that of the core, until it said its own.
const defaultHeartbeat = 100 * time.Millisecond

// Serve is the child: it reads what the core wants from in, speaks BGP, and tells
// the core on out. It returns when in ends, when the core asks it to leave, or
// when ctx ends; the sessions end before, within two seconds. A line that cannot
// be read is an error in the log, and the core is asked to say all of it again.
func Serve(ctx context.Context, in io.Reader, out io.Writer, log *slog.Logger) error {
	c := newChild(log)
	done, written := make(chan struct{}), make(chan struct{})
	go func() { defer close(written); c.out.run(out, done) }()
	c.out.put(func(*outbox) {})
	err := c.run(ctx, in)
	close(done)
	select {
	case <-written:
	case <-time.After(c.heartbeat): // the core does not read; the end of the process ends that
	}
	return err
}

// child is the state of Serve, for its one goroutine.
type child struct {
	log       *slog.Logger
	out       *outbox
	heartbeat time.Duration

	speaker
	table partial
	lost  string // why the core must say all again, "" = it need not
}

func newChild(log *slog.Logger) *child {
	c := &child{log: log, out: newOutbox(), heartbeat: defaultHeartbeat}
	c.speaker = newSpeaker(log, func(s bgp.Session) { c.out.put(func(o *outbox) { o.sessions[s.Neighbor] = s }) })
	c.saw = func(p netip.Prefix, others []string) { c.out.put(func(o *outbox) { o.seen[p] = others }) }
	return c
}

// line is what the reader got.
type line struct {
	message
	err error
}

func read(in io.Reader, out chan<- line, done <-chan struct{}) {
	l := newLines(in)
	for {
		m, err := l.next()
		select {
		case out <- line{m, err}:
		case <-done:
			return
		}
		if bad := (errLine{}); err != nil && !errors.As(err, &bad) {
			return
		}
	}
}

func (c *child) run(ctx context.Context, in io.Reader) error {
	lines, done := make(chan line), make(chan struct{})
	defer close(done)
	go read(in, lines, done)
	silence := time.NewTimer(silentBeats * c.heartbeat)
	beat := time.NewTicker(c.heartbeat)
	defer beat.Stop()
	last := time.Now() // when this loop was known to be on time
	for {
		select {
		case <-ctx.Done():
			c.leave(leave{Text: "vipd speaker ends"})
			return nil
		case l := <-lines:
			if l.err == nil && l.Leave != nil {
				c.leave(*l.Leave)
				return nil
			}
			if errors.Is(l.err, io.EOF) {
				c.leave(leave{Text: "vipd ended"})
				return nil
			}
			if err := c.hear(l, beat); err != nil {
				c.leave(leave{Text: "vipd speaker ends"})
				return err
			}
			silence.Reset(silentBeats * c.heartbeat)
		case <-silence.C:
			if time.Since(last) > 2*c.heartbeat { // we were late ourselves: first hear what has come in meanwhile
				silence.Reset(c.heartbeat)
				continue
			}
			c.silenced("no heartbeat")
		case e := <-c.events:
			c.peer(e)
		case n := <-c.notes:
			c.note(n)
		case f := <-c.found:
			c.discovered(f)
		case e := <-c.probes:
			c.probed(e)
		case a := <-c.arrivals:
			c.handOver(a)
		case <-beat.C:
			last = time.Now()
			c.due(last)
			lost := c.lost
			c.lost = ""
			c.out.put(func(o *outbox) { o.beat, o.again = true, cmp.Or(lost, o.again) })
		}
	}
}

// hear does what a line says. The error is one after which there is no point in
// going on.
func (c *child) hear(l line, beat *time.Ticker) error {
	m := l.message
	switch bad := (errLine{}); {
	case errors.As(l.err, &bad):
		c.log.Error("unreadable line from the core", "err", l.err)
		c.lost = "a line could not be read"
	case l.err != nil:
		return fmt.Errorf("read from the core: %w", l.err)
	case m.Hello != nil:
		if m.Hello.Protocol != protocol {
			return fmt.Errorf("the core speaks version %d of the protocol, this program %d", m.Hello.Protocol, protocol)
		}
		c.kept = m.Hello.Kept
		if m.Hello.Heartbeat >= time.Millisecond && m.Hello.Heartbeat <= time.Minute {
			c.heartbeat = m.Hello.Heartbeat
			beat.Reset(c.heartbeat)
		}
	case m.Config != nil:
		c.configure(*m.Config)
	case m.Table != nil:
		c.hearTable(*m.Table)
	}
	return nil
}

func (c *child) hearTable(t tableMessage) {
	if !c.table.add(t, c.known) {
		c.lost = "a part of the table is missing"
		return
	}
	if t.More {
		return
	}
	changes, whole := c.table.take()
	if whole {
		changes = bgp.Diff(c.wanted, bgp.Table{}.Apply(changes))
	}
	c.announce(changes)
	seq, count := t.Seq, c.wanted.Count()
	c.out.put(func(o *outbox) { o.announced = &announcedMessage{Seq: seq, Count: count} })
}

// silenced withdraws everything. Sessions stay, so that the routes are back as
// soon as the core is.
func (c *child) silenced(why string) {
	if c.known {
		c.log.Error("nothing is announced any more", "why", why)
	}
	c.table = partial{}
	c.announce(bgp.Diff(c.wanted, nil))
	c.known = false
	c.lost = why
}

// partial is a table of which not all lines have come yet.
type partial struct {
	open    bool
	whole   bool
	seq     uint64
	changes []bgp.Change
}

// add takes a part, unless it does not fit to what is known.
func (p *partial) add(t tableMessage, known bool) bool {
	switch {
	case t.Whole:
		*p = partial{open: true, whole: true, seq: t.Seq}
	case !p.open && known:
		*p = partial{open: true, seq: t.Seq}
	case !p.open || p.seq != t.Seq:
		*p = partial{}
		return false
	}
	p.changes = append(p.changes, t.Changes...)
	return true
}

func (p *partial) take() (changes []bgp.Change, whole bool) {
	changes, whole = p.changes, p.whole
	*p = partial{}
	return changes, whole
}
