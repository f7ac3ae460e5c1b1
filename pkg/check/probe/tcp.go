package probe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// maxAnswer is how many bytes of an answer a text is looked for in.
const maxAnswer = 16 << 10

// TCP connects to an address, says and hears what the spec asks for, and closes
// the connection again, in the orderly way that leaves no error in the log of
// the service.
func TCP(ctx context.Context, t check.TCP, _ Settings) Result {
	within, start := limit(ctx), time.Now()
	conn, hangUp, err := dial(ctx, t.Address, t.Source)
	if err != nil {
		return Result{Detail: err.Error(), Took: time.Since(start)}
	}
	defer hangUp()
	detail := "connected to " + t.Address
	if t.Send != "" {
		if _, err := io.WriteString(conn, t.Send); err != nil {
			return Result{Detail: fmt.Sprintf("send to %s: %s", t.Address, explain(err, within))}
		}
	}
	if t.Text != "" || t.Regexp != nil {
		answer, err := hear(conn, t)
		if err != nil {
			detail = fmt.Sprintf("no %s from %s: %s", wanted(t.Text, t.Regexp), t.Address, explain(err, within))
			if len(answer) > 0 {
				detail += fmt.Sprintf(", after %q", excerpt(answer))
			}
			return Result{Detail: detail}
		}
		detail = fmt.Sprintf("%s answers %q", t.Address, excerpt(answer))
	}
	took := time.Since(start)
	farewell(ctx, conn)
	return Result{OK: true, Detail: detail, Took: took}
}

// hear reads until the answer is what is expected.
func hear(conn net.Conn, t check.TCP) (answer []byte, err error) {
	for buf := make([]byte, 0, 512); ; {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := conn.Read(buf[len(buf):min(cap(buf), maxAnswer)])
		buf = buf[:len(buf)+n]
		switch {
		case n > 0 && holds(buf, t.Text, t.Regexp):
			return buf, nil
		case err != nil:
			return buf, err
		case len(buf) == maxAnswer:
			return buf, fmt.Errorf("not in the first %d KiB", maxAnswer>>10)
		}
	}
}

// holds reports whether b has the text in it and matches the expression.
func holds(b []byte, text string, re *regexp.Regexp) bool {
	return bytes.Contains(b, []byte(text)) && (re == nil || re.Match(b))
}

// wanted names what holds looks for.
func wanted(text string, re *regexp.Regexp) string {
	switch {
	case re == nil:
		return strconv.Quote(text)
	case text == "":
		return "match of " + re.String()
	}
	return strconv.Quote(text) + " and match of " + re.String()
}
