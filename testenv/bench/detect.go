package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/vipd/vipd/testenv"
)

// The ways in which a daemon is told to watch the service of its host.
const (
	byEvent = "event" // the process itself
	byPoll  = "poll"  // a script, every 100 ms where that is possible
)

// measureDetect kills the service that the Active watches.
func measureDetect(ctx context.Context, b *bench) error {
	for _, how := range []struct{ watch, title, text string }{
		{byEvent, "Service killed, watched by event",
			"vipd: a check of `type = \"process\"`. keepalived: `track_process`, which hears of processes by the kernel's proc " +
				"connector; that exists in the first network namespace only, so in this lab it may see nothing. FRR has no checks."},
		{byPoll, "Service killed, polled by a script",
			"A script asks whether the process exists; one bad result counts. vipd: every 100 ms. keepalived 2.2.7 takes whole seconds: " +
				"every second. FRR has no checks."},
	} {
		s := spec{interval: 100 * time.Millisecond, vips: 1, watch: how.watch}
		t := b.table(how.title+", adverts every 100 ms", "The service of the Active host gets SIGKILL. *First answer* is the time until the "+
			"other host answers a client; 61 ms of it are the skew time of the election. "+how.text, "first answer", "beyond the skew time")
		if err := b.turns(ctx, t, s, killService); err != nil {
			return err
		}
	}
	return nil
}

// killService is one death of the service and its return.
func killService(ctx context.Context, p *pair, part float64, t *table) error {
	probes, err := p.steady(ctx, part)
	if err != nil {
		return err
	}
	defer probes.Stop()
	died := time.Now()
	if err := p.services[0].Signal(syscall.SIGKILL); err != nil {
		return err
	}
	if err := p.takenOver(ctx, probes, died); err != nil {
		return err
	}
	back := time.Now()
	if err := p.serve(0); err != nil {
		return err
	}
	if err := p.givenBack(ctx, probes, back); err != nil {
		return err
	}
	r := probes.Stop()
	over, err := moved(r, "lb2", died, back)
	if err != nil {
		return err
	}
	again, err := moved(r, "lb1", back, time.Time{})
	if err != nil {
		return err
	}
	skew := p.spec.interval * 156 / 256
	t.add("first answer", "ms", p.daemon.name, ms(over.outage))
	t.add("beyond the skew time", "ms", p.daemon.name, ms(over.outage-skew))
	t.add("lost probes", "", p.daemon.name, float64(over.lost))
	t.add("longest gap", "ms", p.daemon.name, ms(over.gap))
	t.add("service back: until it answers there", "ms", p.daemon.name, ms(again.outage))
	return nil
}

// service is the program that stands for the service of a host. Its name is the
// host's own, for all hosts of a lab share the process numbers.
func service(h *testenv.Host) string { return filepath.Join(h.Dir(), "svc-"+h.Name) }

// script asks whether the service of a host runs.
func script(h *testenv.Host) string { return filepath.Join(h.Dir(), "alive") }

// serve starts the service of a host.
func (p *pair) serve(i int) (err error) {
	p.services[i], err = startService(p.hosts[i])
	return err
}

// startService starts the service of a host, and makes it and its script first if
// they are not there.
func startService(h *testenv.Host) (*testenv.Process, error) {
	if _, err := os.Stat(service(h)); err != nil {
		if err := makeService(h); err != nil {
			return nil, err
		}
	}
	proc, err := h.Start(exec.Command(service(h), "1000000"))
	if err != nil {
		return nil, err
	}
	return proc, os.WriteFile(service(h)+".pid", []byte(strconv.Itoa(proc.Pid())+"\n"), 0o600)
}

func makeService(h *testenv.Host) error {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		return err
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		return err
	}
	if err := os.WriteFile(service(h), program, 0o700); err != nil { //nolint:gosec // a program
		return err
	}
	text := fmt.Sprintf("#!/bin/sh\nexec kill -0 \"$(cat %s.pid)\"\n", service(h))
	return os.WriteFile(script(h), []byte(text), 0o700) //nolint:gosec // a program
}

// vipdCheck is the check of the service in vipd.toml.
func (s spec) vipdCheck(h *testenv.Host) string {
	switch {
	case s.checks != nil:
		return s.checks.vipdChecks()
	case s.watch == byEvent:
		return fmt.Sprintf("[check.service]\ntype = \"process\"\nname = %q\n", filepath.Base(service(h)))
	case s.watch == byPoll:
		return fmt.Sprintf("[check.service]\ntype = \"exec\"\ncommand = [%q]\nuser = \"root\"\ninterval = \"100ms\"\nrise = 1\nfall = 1\n", script(h))
	}
	return ""
}

// keepalivedCheck is the same in keepalived.conf: the lines of the file, and
// those of the virtual router.
func (s spec) keepalivedCheck(h *testenv.Host) (file, router string) {
	switch {
	case s.checks != nil:
		return s.checks.keepalivedChecks()
	case s.watch == byEvent:
		return fmt.Sprintf("vrrp_track_process service {\n  process %s\n  quorum 1\n  delay 0\n}\n", filepath.Base(service(h))),
			"  track_process {\n    service\n  }"
	case s.watch == byPoll:
		return fmt.Sprintf("global_defs {\n  script_user root\n  enable_script_security\n}\n"+
				"vrrp_script service {\n  script %q\n  interval 1\n  rise 1\n  fall 1\n}\n", script(h)),
			"  track_script {\n    service\n  }"
	}
	return "", ""
}
