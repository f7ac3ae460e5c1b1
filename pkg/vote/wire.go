package vote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Asks and Answers travel as the payload of frames of pkg/pair, of its types
// TypeAsk and TypeAnswer. Numbers are big-endian. A payload is the name of the cluster and items; a kind
// that is not known is skipped, as is what follows the last known field of an item.
//
//	1 + n  cluster, its length first
//	items: 1 kind, 2 length of what follows
//	       1 + n VIP, 8 number, 8 epoch, 4 TTL in ms                            kinds of an Ask
//	       1 + n VIP, 8 number, 8 epoch, 1 why, 1 + n owner, 4 remaining in ms  kinds of an Answer

// MaxName is how long names of clusters, VIPs and hosts are at most, in octets.
const MaxName = 64

const (
	itemHead  = 3
	askFixed  = 1 + 8 + 8 + 4
	answFixed = 1 + 8 + 8 + 1 + 1 + 4
)

var errCut = errors.New("read votes: the message is cut")

// AppendCluster begins a payload.
func AppendCluster(b []byte, cluster string) []byte { return appendName(b, cluster) }

// AppendAsk appends an Ask, in whole milliseconds.
func AppendAsk(b []byte, a Ask) []byte {
	b = append(b, byte(a.Kind))
	b = binary.BigEndian.AppendUint16(b, uint16(askFixed+len(a.VIP)))
	b = appendName(b, a.VIP)
	b = binary.BigEndian.AppendUint64(b, a.Number)
	b = binary.BigEndian.AppendUint64(b, a.Epoch)
	return binary.BigEndian.AppendUint32(b, millis(a.TTL))
}

// AppendAnswer appends an Answer. Remaining is rounded up, so that nobody comes
// back too early.
func AppendAnswer(b []byte, a Answer) []byte {
	b = append(b, byte(a.Kind))
	b = binary.BigEndian.AppendUint16(b, uint16(answFixed+len(a.VIP)+len(a.Owner)))
	b = appendName(b, a.VIP)
	b = binary.BigEndian.AppendUint64(b, a.Number)
	b = binary.BigEndian.AppendUint64(b, a.Epoch)
	b = append(b, byte(a.Why))
	b = appendName(b, a.Owner)
	return binary.BigEndian.AppendUint32(b, millis(a.Remaining+time.Millisecond-1))
}

// AskSize is how many octets an Ask takes.
func AskSize(a Ask) int { return itemHead + askFixed + len(a.VIP) }

// AnswerSize is how many octets an Answer takes.
func AnswerSize(a Answer) int { return itemHead + answFixed + len(a.VIP) + len(a.Owner) }

func millis(d time.Duration) uint32 { return uint32(min(max(0, d.Milliseconds()), math.MaxUint32)) }

func appendName(b []byte, s string) []byte {
	return append(append(b, byte(len(s))), s...)
}

// ParseAsks reads the payload of a message of TypeAsk. The Asks are appended to
// list.
func ParseAsks(list []Ask, b []byte) (cluster string, asks []Ask, err error) {
	r := reader{b: b}
	cluster = r.name()
	for len(r.b) > 0 && !r.cut {
		kind, item := r.item()
		if kind != byte(Renew) && kind != byte(Release) {
			continue
		}
		a := Ask{Kind: AskKind(kind), VIP: item.name(), Number: item.uint64(), Epoch: item.uint64(), TTL: item.millis()}
		if err := item.err("VIP", a.VIP); err != nil {
			return "", list, err
		}
		list = append(list, a)
	}
	if r.cut {
		return "", list, errCut
	}
	return cluster, list, nil
}

// ParseAnswers reads the payload of a message of TypeAnswer.
func ParseAnswers(list []Answer, b []byte) (cluster string, answers []Answer, err error) {
	r := reader{b: b}
	cluster = r.name()
	for len(r.b) > 0 && !r.cut {
		kind, item := r.item()
		if kind < byte(Granted) || kind > byte(Lost) {
			continue
		}
		a := Answer{Kind: AnswerKind(kind), VIP: item.name(), Number: item.uint64(), Epoch: item.uint64(), Why: Reason(item.uint8()), Owner: item.name(), Remaining: item.millis()}
		if err := item.err("VIP", a.VIP); err != nil {
			return "", list, err
		}
		list = append(list, a)
	}
	if r.cut {
		return "", list, errCut
	}
	return cluster, list, nil
}

// reader reads fields until one is cut; then it reads zeros.
type reader struct {
	b   []byte
	cut bool
	bad bool // a name that nobody may have
}

func (r *reader) err(what, name string) error {
	switch {
	case r.cut:
		return errCut
	case r.bad || name == "":
		return fmt.Errorf("read votes: name of a %s of a wrong form", what)
	}
	return nil
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.cut, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) item() (kind byte, item reader) {
	kind = r.uint8()
	b := r.take(2)
	if b == nil {
		return 0, reader{}
	}
	return kind, reader{b: r.take(int(binary.BigEndian.Uint16(b)))}
}

func (r *reader) uint8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) millis() time.Duration {
	if b := r.take(4); b != nil {
		return time.Duration(binary.BigEndian.Uint32(b)) * time.Millisecond
	}
	return 0
}

// name reads printable ASCII: what the configuration allows for names is part of it.
func (r *reader) name() string {
	b := r.take(int(r.uint8()))
	r.bad = r.bad || len(b) > MaxName
	for _, c := range b {
		r.bad = r.bad || c < '!' || c > '~'
	}
	return string(b)
}
