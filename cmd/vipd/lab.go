package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/trial"
	"github.com/vipd/vipd/testenv"
)

// labTime is how long a trial may take.
const labTime = 10 * time.Minute

// labCommand is vipd lab.
func (a *app) labCommand() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "lab",
		Short: "try configuration files in a lab inside this process",
	}, a.labTestCommand())
}

// labTestCommand is vipd lab test.
func (a *app) labTestCommand() *cobra.Command {
	checks := false
	c := &cobra.Command{
		Use:   "test FILE FILE",
		Short: "boot two files as a pair, then drain, kill and cut off each host, and time it",
		Example: `  vipd lab test lb1.toml lb2.toml
  vipd lab test --json lb1.toml lb2.toml > report.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("%s takes the files of two hosts, not %d", cmd.CommandPath(), len(args))
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(given) >= 2 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := a.readPair(args)
			if err != nil {
				return err
			}
			done, code, err := testenv.Isolate()
			switch {
			case err != nil:
				return err
			case !done:
				return a.labTest(cmd.Context(), files, checks)
			case code > 128 && code != 128+int(syscall.SIGPIPE):
				return fmt.Errorf("try the files: it was ended by signal %d", code-128)
			case code != 0:
				return errNo // it has told why
			default:
				return nil
			}
		},
	}
	c.Flags().BoolVar(&checks, "with-checks", false, "make the checks of the files, which pass otherwise")
	return c
}

// readPair reads both files, and prints what is wrong with them, once.
func (a *app) readPair(paths []string) (files [2]*trial.File, err error) {
	for i, path := range paths {
		f, problems := trial.Read(path)
		files[i] = f
		if problems.Errors() == 0 {
			continue
		}
		err = errConfig
		if e := problems.Format(a.err, a.errColor); e != nil {
			return files, e
		}
	}
	return files, err
}

// labTest tries the files, in namespaces of its own.
func (a *app) labTest(ctx context.Context, files [2]*trial.File, checks bool) error {
	if err := testenv.PrivateTemp(); err != nil {
		return err
	}
	ctx, cancel := a.within(ctx, labTime)
	defer cancel()
	opts := trial.Options{Program: "/proc/self/exe", WithChecks: checks, Out: a.out}
	if a.json || a.quiet {
		opts.Out = io.Discard
	}
	doc, err := trial.Run(ctx, files, opts)
	switch {
	case err != nil:
		return err
	case a.json:
		if err := a.encodeJSON(doc); err != nil {
			return err
		}
	default:
		a.printTrial(doc)
	}
	switch {
	case doc.Problem != "":
		return errors.New(doc.Problem)
	case !doc.OK:
		return errNo
	}
	return nil
}

// printTrial prints what became of each VIP.
func (a *app) printTrial(doc *trial.Document) {
	if !a.quiet {
		a.say("")
		for _, line := range append(doc.Network, doc.Notes...) {
			a.say("%s", line)
		}
		a.say("")
	}
	tab := newTable("SCENARIO", "HOST", "VIP", "ANSWERS", "OUTAGE", "LOST", "LIMIT", "RESULT", "WHY")
	for _, s := range doc.Scenarios {
		row := cells(s.Name, s.Host, s.VIP, strings.TrimPrefix(s.From+" -> "+s.To, " -> "), inMilliseconds(s.Outage), fmt.Sprint(s.Lost), inMilliseconds(s.Limit), "ok", s.Problem)
		row[7].style = green
		if !s.OK {
			row[7] = cell{text: "FAILED", style: red}
		}
		tab.add(row...)
	}
	a.printTable(tab, false)
	for _, h := range doc.Hosts {
		if log := doc.Logs[h.Name]; log != "" {
			a.talk("log of " + h.Name + ":\n" + strings.TrimRight(log, "\n"))
		}
	}
	verdict := a.paint(green, "PASS")
	if !doc.OK {
		verdict = a.paint(red, "FAIL")
	}
	_, _ = fmt.Fprintf(a.out, "%s  %s; a busy machine may add %s to a limit\n", verdict, doc.Took.Round(100*time.Millisecond), inMilliseconds(doc.Allowance))
}
