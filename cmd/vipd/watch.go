package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// latestEvents is how many events stand below the status.
const latestEvents = 8

// errQuit says that the user has seen enough.
var errQuit = errors.New("quit")

// watch is the live screen.
type watch struct {
	*app
	interval time.Duration
	count    int // frames to print, 0 = no end
	wide     bool
	only     bool // events alone

	screen io.Writer // where frames go
	height int       // of the terminal in lines, 0 = it is none
	drawn  int       // frames

	doc    control.StatusDocument
	raw    []byte // the same in JSON
	err    error  // why the doc is an old one
	recent recent
}

// recent are the latest events, oldest first. They come from a goroutine of
// their own.
type recent struct {
	mu     sync.Mutex
	events []engine.Record
}

// watchCommand is vipd watch.
func (a *app) watchCommand() *cobra.Command {
	w := &watch{app: a}
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "show the status live, with the latest events",
		Example: `  vipd watch
  vipd watch --count 2 --interval 5s | cat`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if w.interval < 50*time.Millisecond {
				return usageError{error: fmt.Errorf("--interval %s is below 50ms", w.interval)}
			}
			return w.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.DurationVarP(&w.interval, "interval", "n", time.Second, "time between two looks; an event is shown at once")
	flags.IntVar(&w.count, "count", 0, "end after this many frames (default: none, q ends it)")
	flags.BoolVarP(&w.wide, "wide", "w", false, "all addresses, and lines as long as they are (key w)")
	return cmd
}

// run draws until the user, a signal or --count ends it. The first look must
// succeed; later the screen says what is wrong and goes on.
func (w *watch) run(ctx context.Context) error {
	if w.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.timeout)
		defer cancel()
	}
	if w.look(ctx); w.err != nil {
		return w.err
	}
	w.screen = w.out
	keys := make(chan byte)
	group, inner := errgroup.WithContext(ctx)
	if fd, ok := terminal(w.out); ok && !w.json {
		restore, err := w.takeScreen()
		if err != nil {
			return err
		}
		defer restore()
		w.size(fd)
		if in := int(w.in.Fd()); term.IsTerminal(in) {
			group.Go(func() error { return readKeys(inner, in, keys) })
		}
	}
	news := make(chan struct{}, 1)
	group.Go(func() error { w.follow(inner, news); return nil })
	group.Go(func() error { return w.loop(inner, keys, news) })
	err := group.Wait()
	switch {
	case errors.Is(err, errQuit), errors.Is(ctx.Err(), context.Canceled):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

// loop draws at each tick, event and key.
func (w *watch) loop(ctx context.Context, keys <-chan byte, news <-chan struct{}) error {
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	for {
		if err := w.draw(); err != nil {
			return err
		}
		if w.drawn++; w.drawn == w.count {
			return errQuit
		}
		select {
		case <-tick.C:
			w.look(ctx)
		case <-news:
			w.look(ctx)
		case k := <-keys:
			if err := w.key(k); err != nil {
				return err
			}
		case <-resized:
			if fd, ok := terminal(w.out); ok {
				w.size(fd)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		if w.err != nil && w.height == 0 {
			return w.err // nobody is there to see that it comes back
		}
	}
}

// key does what a key is for.
func (w *watch) key(k byte) error {
	switch k {
	case 'q', 0x03, 0x04: // and Ctrl-C, Ctrl-D: they are only bytes while the screen is ours
		return errQuit
	case 'w':
		w.wide = !w.wide
	case 'e':
		w.only = !w.only
	}
	return nil
}

// look asks for the status.
func (w *watch) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, shortTime)
	defer cancel()
	raw, err := w.client().Raw(ctx, control.PathStatus())
	if err == nil {
		var doc control.StatusDocument
		if err = control.Decode(raw, control.PathStatus(), &doc); err == nil {
			doc.Status.Node = doc.Node.Name
			w.doc, w.raw = doc, raw
		}
	}
	w.err = err
}

// follow keeps the latest events, and says when there are new ones. It goes on
// where it was when the daemon comes back.
func (w *watch) follow(ctx context.Context, news chan<- struct{}) {
	since := usualHistory
	for ctx.Err() == nil {
		_ = w.client().Events(ctx, control.EventQuery{Since: since, Follow: true}, func(line []byte) error {
			var ev control.Event
			if err := control.Decode(line, "/v1/events", &ev); err != nil {
				return err
			}
			since = strconv.FormatUint(ev.Seq, 10)
			w.recent.add(ev.Record)
			select {
			case news <- struct{}{}:
			default: // it will be seen with the others
			}
			return nil
		})
		select { // the next look says what is wrong, if something is
		case <-time.After(w.interval):
		case <-ctx.Done():
		}
	}
}

// add keeps an event.
func (r *recent) add(ev engine.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, ev)
	if n := len(r.events) - latestEvents; n > 0 {
		r.events = append(r.events[:0], r.events[n:]...)
	}
}

// list returns a copy.
func (r *recent) list() []engine.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// draw writes one frame: over the last one on a terminal, behind an empty line
// elsewhere.
func (w *watch) draw() error {
	if w.json {
		return w.printJSON(w.raw)
	}
	text := w.frame()
	switch {
	case w.height > 0:
		text = "\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\r\n") + "\x1b[J"
	case w.drawn > 0:
		text = "\n" + text
	}
	_, err := io.WriteString(w.screen, text)
	return err
}

// frame is what is to be seen now.
func (w *watch) frame() string {
	var events, status bytes.Buffer
	for _, ev := range w.recent.list() {
		_, _ = fmt.Fprintln(&events, w.eventLine(ev))
	}
	if w.only {
		return fit(events.String(), w.height)
	}
	if w.changes == nil {
		w.changes = &changes{cells: map[string]remembered{}}
	}
	w.changes.now = time.Now()
	if w.err != nil {
		_, _ = fmt.Fprintln(&status, w.paint(red, clean("! "+w.err.Error()+"; this was "+control.Age(time.Since(w.doc.Now))+" ago")))
	}
	w.out = &status
	w.printStatus(w.doc, w.wide)
	w.out = w.screen
	below := ""
	if events.Len() > 0 {
		below = "\n" + events.String()
	}
	return fit(status.String(), w.height-strings.Count(below, "\n")) + fit(below, w.height)
}

// fit cuts a text to a number of lines; all of it when the screen has no end.
func fit(text string, lines int) string {
	if n := strings.Count(text, "\n"); lines <= 0 || n < lines {
		return text
	}
	all := strings.SplitAfter(text, "\n")
	return strings.Join(all[:max(lines-1, 1)], "")
}
