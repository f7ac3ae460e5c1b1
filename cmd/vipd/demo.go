package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/demo"
	"github.com/vipd/vipd/internal/demo/router"
	"github.com/vipd/vipd/testenv"
)

// readTime is the time between two acts of the demo, for a reader.
const readTime = time.Second

// demoCommand is vipd demo.
func (a *app) demoCommand() *cobra.Command {
	anycast, picture := false, ""
	c := &cobra.Command{
		Use:   "demo",
		Short: "play failovers in a lab inside this process, and time them",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done, code, err := testenv.Isolate()
			switch {
			case err != nil:
				return err
			case !done:
				return a.demo(cmd.Context(), anycast, picture)
			case code == 128+int(syscall.SIGPIPE):
				return errNo // nobody reads any more
			case code > 128:
				return fmt.Errorf("play the demo: it was ended by signal %d", code-128)
			case code != 0:
				return errNo // it has told why
			default:
				return nil
			}
		},
	}
	c.Flags().BoolVar(&anycast, "anycast", false, "play it with a service that two hosts announce by BGP")
	c.Flags().StringVar(&picture, "timeline", "", "draw who answered when into this file (SVG)")
	c.MarkFlagsMutuallyExclusive("anycast", "timeline")
	return c
}

// demoRouterCommand is the ToR of vipd demo --anycast, which only that starts.
func (a *app) demoRouterCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "demo-router AS IDENTIFIER ADDRESS=AS...",
		Short:  "route for the vipd demo that started this",
		Hidden: true,
		Args:   cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			as, err1 := strconv.ParseUint(args[0], 10, 32)
			id, err2 := netip.ParseAddr(args[1])
			c := router.Config{AS: uint32(as), ID: id, Neighbors: map[netip.Addr]uint32{}} // 32 bits
			err := errors.Join(err1, err2)
			for _, arg := range args[2:] {
				address, as, _ := strings.Cut(arg, "=")
				neighbor, err1 := netip.ParseAddr(address)
				n, err2 := strconv.ParseUint(as, 10, 32)
				err = errors.Join(err, err1, err2)
				c.Neighbors[neighbor] = uint32(n) // 32 bits
			}
			if err != nil {
				return err
			}
			return router.Run(cmd.Context(), c, slog.New(slog.NewTextHandler(a.err, nil)))
		},
	}
}

// demo plays the demo, in namespaces of its own.
func (a *app) demo(ctx context.Context, anycast bool, picture string) (err error) {
	var drawing io.Writer
	if picture != "" { // before a directory for temporary files hides it
		file, failed := os.Create(picture)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		drawing = file
	}
	if err := testenv.PrivateTemp(); err != nil {
		return err
	}
	ctx, cancel := a.within(ctx, longTime)
	defer cancel()
	opts := demo.Options{
		Program: "/proc/self/exe", Out: a.out, NoColor: a.noColor, Picture: drawing,
		Title: func(text string) string { return a.paint(bold, text) },
	}
	switch {
	case a.json || a.quiet:
		opts.Out = io.Discard
	case a.width > 0:
		opts.Pace = readTime
	}
	play := demo.Run
	if anycast {
		play = demo.RunAnycast
	}
	doc := play(ctx, opts)
	if a.json {
		if err := a.encodeJSON(doc); err != nil {
			return err
		}
	} else {
		a.printDemo(doc)
	}
	for _, host := range []string{"lb1", "lb2"} {
		if log := doc.Logs[host]; log != "" && !a.json {
			a.talk("log of " + host + ":\n" + strings.TrimRight(log, "\n"))
		}
	}
	if !doc.OK {
		return errors.New(doc.Problem)
	}
	return nil
}

// printDemo prints what was measured, and what was not shown.
func (a *app) printDemo(doc *demo.Document) {
	if len(doc.Acts) > 0 {
		a.say("")
		a.printTable(demoTable(doc), true)
	}
	if !doc.OK {
		return
	}
	a.say("\n%d probes in %s, %d lost. LIMIT is what the protocol itself waits; a busy", doc.Sent, doc.Took.Round(100*time.Millisecond), doc.Lost)
	a.say("machine may add %s. Nothing was left behind: no process, file or network.", inMilliseconds(doc.Allowance))
	if doc.Anycast {
		a.say("\nNot shown:")
		for _, n := range doc.NotPrevented {
			a.say("  - %s", n)
		}
		return
	}
	a.say("\nNot shown, and not prevented by what the two hosts are told here:")
	for _, n := range doc.NotPrevented {
		a.say("  - %s", n)
	}
	a.say("takeover = \"fence\", see vipd-fence(7), and \"votes\" (docs/witness.md) prevent it.")
}

// demoTable is one row per act.
func demoTable(doc *demo.Document) *table {
	tab := newTable("ACT", "ANSWERS", "OUTAGE", "LOST", "LIMIT", "", "RESULT")
	for _, r := range doc.Acts {
		row := cells(r.Name, r.From+" -> "+r.To, inMilliseconds(r.Outage), fmt.Sprint(r.Lost), inMilliseconds(r.Limit), r.Expected, "ok")
		if r.From == r.To {
			row[1].text = r.To
		}
		row[6].style = green
		if !r.OK {
			row[6] = cell{text: "FAILED", style: red}
		}
		tab.add(row...)
	}
	return tab
}

// inMilliseconds writes a duration as the demo measures it.
func inMilliseconds(d time.Duration) string {
	if d == 0 {
		return "none"
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
