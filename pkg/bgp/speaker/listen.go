package speaker

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"

	wire "github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// note is what the log of the library tells about a neighbor and its events do
// not: why a session does not begin, and what the NOTIFICATION said that ended it.
type note struct {
	address netip.Addr
	text    string
}

// listener is the library's log: it picks notes out of it, and hands the rest to
// our own, one level lower, as most of it is news to its programmers only.
type listener struct {
	notes chan<- note
	next  slog.Handler
	peer  netip.Addr
}

func (s *speaker) listener() slog.Handler {
	return listener{notes: s.notes, next: s.log.Handler().WithAttrs([]slog.Attr{slog.String("from", "gobgp")})}
}

// Enabled implements [slog.Handler]: some notes are debug messages.
func (l listener) Enabled(context.Context, slog.Level) bool { return true }

// WithGroup implements [slog.Handler].
func (l listener) WithGroup(name string) slog.Handler {
	l.next = l.next.WithGroup(name)
	return l
}

// WithAttrs implements [slog.Handler].
func (l listener) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "Key" {
			l.peer, _ = netip.ParseAddr(a.Value.String())
		}
	}
	l.next = l.next.WithAttrs(attrs)
	return l
}

// Handle implements [slog.Handler]. It never waits: the library may hold its locks.
func (l listener) Handle(ctx context.Context, r slog.Record) error {
	if text := noteOf(r); text != "" && l.peer.IsValid() {
		select {
		case l.notes <- note{l.peer, text}:
		default:
		}
	}
	switch {
	case r.Level >= slog.LevelError:
		r.Level = slog.LevelWarn
	case r.Level >= slog.LevelWarn:
		r.Level = slog.LevelInfo
	default:
		r.Level = slog.LevelDebug
	}
	if !l.next.Enabled(ctx, r.Level) {
		return nil
	}
	return l.next.Handle(ctx, r)
}

// noteOf is what an operator should know of a record, "" = nothing.
func noteOf(r slog.Record) string {
	switch r.Message {
	case "sent notification":
		if number(attribute(r, "Code")) == wire.BGP_ERROR_CEASE && number(attribute(r, "Subcode")) == wire.BGP_ERROR_SUB_PEER_DECONFIGURED {
			return "" // of our own accord, for a reason that is known
		}
		return "we closed it: " + notification(r)
	case "received notification":
		return "the neighbor closed it: " + notification(r)
	case "outgoing connection established":
		return unanswered
	case "failed to connect":
		return "connect: " + attribute(r, "Error").String()
	case "Session will be reset due to malformed BGP Header", "Session will be reset due to malformed BGP message",
		"Session will be reset due to malformed BGP update message":
		return "malformed message: " + attribute(r, "Error").String()
	}
	return ""
}

// unanswered is true of every connection for a moment. It stays true where the
// neighbor drops what we say: because of GTSM, or because it waits for the end of
// something.
const unanswered = "connect: the neighbor took the connection and does not answer (ttl_security on one side only looks like this)"

func notification(r slog.Record) string {
	code, sub := uint8(number(attribute(r, "Code"))), uint8(number(attribute(r, "Subcode")))
	text := "NOTIFICATION " + wire.NewNotificationErrorCode(code, sub).String()
	if why := attribute(r, "Communicated-Reason"); why.Kind() == slog.KindString && why.String() != "" {
		text += fmt.Sprintf(": %q", why.String())
	}
	return text
}

func number(v slog.Value) int64 {
	if v.Kind() != slog.KindInt64 {
		return 0
	}
	return v.Int64()
}

func attribute(r slog.Record, key string) (v slog.Value) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == key {
			v = a.Value
			return false
		}
		return true
	})
	return v
}
