package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// write makes the document.
func (b *bench) write() error {
	var s strings.Builder
	b.introduce(&s)
	s.WriteString("## Summary\n\nMedians.\n\n| measurement | figure | vipd | keepalived | vipd ÷ keepalived |\n|---|---|---|---|---|\n")
	for _, t := range b.tables {
		s.WriteString(t.summary())
	}
	s.WriteString("\n")
	for _, t := range b.tables {
		s.WriteString(t.markdown())
	}
	s.WriteString(notMeasured)
	if b.out == "" {
		_, err := os.Stdout.WriteString(s.String())
		return err
	}
	if err := os.WriteFile(b.out, []byte(s.String()), 0o644); err != nil { // a document for everybody
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

func (b *bench) introduce(s *strings.Builder) {
	fmt.Fprintf(s, `# Benchmarks

vipd beside keepalived and FRR's vrrpd, measured by `+"`make bench`"+`, which writes this whole file. Do not edit it.

- Machine: %d cores, Linux %s, shared with other work. Absolute times are of this machine; ratios and medians are what counts.
- vipd of this tree, built with %s; keepalived %s; FRR %s. All with default scheduling, VRRP version 3, IPv4, multicast.
- A lab is a client and two hosts, lb1 (priority 150) and lb2 (priority 100), on one Linux bridge; each host and daemon has its own
  network namespace. The client sends 1000 probes a second to the virtual address and notes who answers. A lost probe is about 1 ms.
- The daemons take turns in one run: vipd, keepalived, FRR, vipd, … A cell is minimum / **median** / maximum (n samples); the last
  column is the ratio of the medians, below 1 where vipd needs less.
- FRR keeps the address on a macvlan interface that answers as soon as the switch floods frames to it. Where its outage
  is below 2 ms, read its detection instead.
- Measured on %s, in %s.

`, runtime.NumCPU(), kernel(), runtime.Version(), version(`v([0-9.]+)`, "keepalived", "--version"),
		version(`version ([0-9.]+)`, "/usr/lib/frr/vrrpd", "--version"),
		b.started.UTC().Format(time.DateOnly), time.Since(b.started).Round(time.Minute))
}

const notMeasured = `## What is not measured

IPv6, VRRP version 2, unicast, virtual MACs with vipd and keepalived, sync groups, a loaded host, a real switch, more
than two hosts, hosts with clocks and kernels of their own. Loss of whole directions and frozen hosts are part of the tests, not of
this file. FRR: start-up, reload and what is said above.
`

// kernel is the version of the running kernel without what its builder added.
func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return release
}

// version asks a program for its version.
func version(pattern, program string, args ...string) string {
	out, err := exec.Command(program, args...).CombinedOutput()
	m := regexp.MustCompile(pattern).FindSubmatch(out)
	if m == nil {
		return fmt.Sprintf("unknown (%v)", err)
	}
	return string(m[1])
}
