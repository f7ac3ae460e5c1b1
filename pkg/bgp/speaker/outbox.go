package speaker

import (
	"io"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/vipd/vipd/pkg/bgp"
)

// outbox is what the child has to say and the core has not read yet: of each
// session the newest state only, so that a core that does not read costs no
// memory and holds nothing up.
type outbox struct {
	mu        sync.Mutex
	hello     *hello
	beat      bool
	sessions  map[string]bgp.Session
	announced *announcedMessage
	seen      map[netip.Prefix][]string
	again     string
	wake      chan struct{}
}

func newOutbox() *outbox {
	return &outbox{hello: &hello{Protocol: protocol}, sessions: map[string]bgp.Session{}, seen: map[netip.Prefix][]string{}, wake: make(chan struct{}, 1)}
}

// put changes what waits to be said.
func (o *outbox) put(change func(*outbox)) {
	o.mu.Lock()
	change(o)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default: // it is awake
	}
}

// take empties the box. Sessions come before the announcement, as what was
// announced may depend on them.
func (o *outbox) take() (out []message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.hello != nil {
		out = append(out, message{Hello: o.hello})
	}
	for _, name := range slices.Sorted(maps.Keys(o.sessions)) {
		s := o.sessions[name]
		out = append(out, message{Session: &s})
	}
	for _, p := range slices.SortedFunc(maps.Keys(o.seen), bgp.ComparePrefixes) {
		out = append(out, message{Seen: &seenMessage{p, o.seen[p]}})
	}
	if o.again != "" {
		out = append(out, message{Again: o.again})
	}
	if o.announced != nil {
		out = append(out, message{Announced: o.announced})
	}
	if o.beat {
		out = append(out, message{Beat: true})
	}
	clear(o.sessions)
	clear(o.seen)
	o.hello, o.announced, o.again, o.beat = nil, nil, "", false
	return out
}

// run writes until the box is told to end by closing done, or the writer fails.
func (o *outbox) run(w io.Writer, done <-chan struct{}) {
	for {
		select {
		case <-o.wake:
		case <-done:
			return
		}
		for _, m := range o.take() {
			b, err := encode(m)
			if err != nil {
				continue // a name that is too long for a line says nothing
			}
			if _, err := w.Write(b); err != nil {
				return // the core is gone; its end of the other pipe says so too
			}
		}
	}
}
