package speaker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/vipd/vipd/pkg/bgp"
)

// protocol is the version of the messages; both sides must have the same.
const protocol = 1

// Bounds of what one line may be, so that a broken peer costs memory only once.
const (
	maxLine      = 1 << 20
	maxPerLine   = 1000 // routes and withdrawn prefixes; more go into further lines
	maxPrepend   = bgp.MaxPrepend
	maxSeen      = 64  // announcers of a prefix; further ones change nothing
	maxCommunity = 255 // of one route, of each kind
)

// message is one line. Exactly one field is set.
type message struct {
	Hello *hello `json:"hello,omitempty"` // the first line in both directions
	Beat  bool   `json:"beat,omitempty"`  // both directions

	// To the child.
	Config *bgp.Config   `json:"config,omitempty"`
	Table  *tableMessage `json:"table,omitempty"`
	Leave  *leave        `json:"leave,omitempty"`

	// From the child.
	Session   *bgp.Session      `json:"session,omitempty"`
	Announced *announcedMessage `json:"announced,omitempty"`
	Seen      *seenMessage      `json:"seen,omitempty"`
	Again     string            `json:"again,omitempty"` // tell me everything again, because
}

// hello says who speaks.
type hello struct {
	Protocol  int
	Heartbeat time.Duration `json:",omitempty"` // of the core; the child beats alike
	// Kept says that neighbors may still use what an earlier child announced, and
	// that this host forwards it (RFC 4724, the forwarding state bit).
	Kept bool `json:",omitempty"`
}

// tableMessage is what changed since the one before, or all there is.
type tableMessage struct {
	Seq     uint64
	Whole   bool // starts from an empty table
	More    bool // the rest follows; nothing is done before it came
	Changes []bgp.Change
}

// leave asks the child to end.
type leave struct {
	Text string // for the neighbors (RFC 9003)
	Keep bool   // say nothing, so that they keep the routes (RFC 4724)
}

type announcedMessage struct {
	Seq   uint64
	Count int
}

// seenMessage says who else announces a prefix, sorted.
type seenMessage struct {
	Prefix netip.Prefix
	Others []string
}

// split cuts changes into messages that fit into a line each.
func split(seq uint64, whole bool, changes []bgp.Change) []message {
	out := []message{}
	part := &tableMessage{Seq: seq, Whole: whole}
	room := maxPerLine
	flush := func() {
		out = append(out, message{Table: part})
		part, room = &tableMessage{Seq: seq}, maxPerLine
	}
	for _, c := range changes {
		for len(c.Withdraw)+len(c.Announce) > 0 {
			if room == 0 {
				part.More = true
				flush()
			}
			w := min(room, len(c.Withdraw))
			a := min(room-w, len(c.Announce))
			part.Changes = append(part.Changes, bgp.Change{Neighbor: c.Neighbor, Withdraw: c.Withdraw[:w], Announce: c.Announce[:a]})
			c.Withdraw, c.Announce = c.Withdraw[w:], c.Announce[a:]
			room -= w + a
		}
	}
	flush()
	return out
}

// encode is the line of a message, with its end.
func encode(m message) ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode a message: %w", err)
	}
	if len(b) >= maxLine {
		return nil, fmt.Errorf("encode a message: %d bytes are more than a line may have", len(b))
	}
	return append(b, '\n'), nil
}

// decode is the inverse of encode. It accepts no field that it does not know, and
// no line with two messages.
func decode(line []byte) (message, error) {
	var m message
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("an empty line") // and not the end
		}
		return message{}, fmt.Errorf("decode a message: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return message{}, errors.New("decode a message: more than one on a line")
	}
	n := 0
	for _, set := range []bool{m.Hello != nil, m.Beat, m.Config != nil, m.Table != nil, m.Leave != nil,
		m.Session != nil, m.Announced != nil, m.Seen != nil, m.Again != ""} {
		if set {
			n++
		}
	}
	if n != 1 {
		return message{}, fmt.Errorf("decode a message: %d in one", n)
	}
	if m.Table != nil {
		if err := m.Table.check(); err != nil {
			return message{}, fmt.Errorf("decode a table: %w", err)
		}
	}
	return m, nil
}

// check refuses what no core sends, before it costs memory or reaches a neighbor.
func (t *tableMessage) check() error {
	for _, c := range t.Changes {
		for _, p := range c.Withdraw {
			if !p.IsValid() || p != p.Masked() {
				return fmt.Errorf("%v is no prefix", p)
			}
		}
		for _, r := range c.Announce {
			if err := checkRoute(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkRoute(r bgp.Route) error {
	a := r.Attributes
	switch {
	case !r.Prefix.IsValid() || r.Prefix != r.Prefix.Masked():
		return fmt.Errorf("%v is no prefix", r.Prefix)
	case r.NextHop.IsValid() && (r.NextHop.Is4() != r.Prefix.Addr().Is4() || r.NextHop.Zone() != "" || r.NextHop.IsUnspecified()):
		return fmt.Errorf("%v is no next hop for %v", r.NextHop, r.Prefix)
	case a.Prepend < 0 || a.Prepend > maxPrepend:
		return fmt.Errorf("%v: prepend %d is outside 0–%d", r.Prefix, a.Prepend, maxPrepend)
	case len(a.Communities) > maxCommunity || len(a.Large) > maxCommunity:
		return fmt.Errorf("%v: more than %d communities", r.Prefix, maxCommunity)
	}
	return nil
}

// lines reads lines of at most maxLine bytes. A longer one is read to its end and
// handed over as an error, like one that does not decode, so that whoever reads
// can go on.
type lines struct{ r *bufio.Reader }

func newLines(r io.Reader) lines { return lines{bufio.NewReaderSize(r, 64<<10)} }

// errLine wraps what is wrong with one line; the next one may be fine.
type errLine struct{ error }

func (e errLine) Unwrap() error { return e.error }

// next reads a message. Errors other than errLine are the reader's, and final.
func (l lines) next() (message, error) {
	var line []byte
	long := false
	for {
		part, err := l.r.ReadSlice('\n')
		if !long && len(line)+len(part) > maxLine {
			long, line = true, nil
		}
		if !long {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return message{}, err
		}
		break
	}
	if long {
		return message{}, errLine{fmt.Errorf("decode a message: a line of more than %d bytes", maxLine)}
	}
	m, err := decode(line)
	if err != nil {
		return message{}, errLine{err}
	}
	return m, nil
}
