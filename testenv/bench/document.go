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

// part is a chapter of the document. The chapters that a run did not measure stay
// as they are in the file.
type part struct {
	heading   string // the line that begins it
	introduce func(*bench, *strings.Builder)
	rivals    string // the heading of their column in the summary
	ratio     string
	end       string // what is not measured
}

// The chapters in their order.
var (
	failovers     = part{"# Benchmarks\n", (*bench).introduce, "keepalived", "vipd ÷ keepalived", notMeasured}
	announcements = part{"# Anycast\n", (*bench).introduceAnycast, "best rival", "vipd ÷ best rival", anycastNotMeasured}
)

var guards = part{"# Guard\n", (*bench).introduceGuard, "keepalived", "vipd ÷ keepalived", guardNotMeasured}

var disasters = part{"# Chaos\n", (*bench).introduceChaos, "", "", chaosNotMeasured}

// write makes the document.
func (b *bench) write() error {
	old := ""
	if b.out != "" {
		text, err := os.ReadFile(b.out)
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("read the document: %w", err)
		}
		old = string(text)
	}
	text := b.document(old)
	if b.out == "" {
		_, err := os.Stdout.WriteString(text)
		return err
	}
	if err := os.WriteFile(b.out, []byte(text), 0o644); err != nil { // a document for everybody
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

// document is the new text, given the old one.
func (b *bench) document(old string) string {
	var s strings.Builder
	first, second, _ := strings.Cut(old, announcements.heading)
	second, third, _ := strings.Cut(second, guards.heading)
	third, fourth, _ := strings.Cut(third, disasters.heading)
	for _, c := range []struct {
		*part
		old string
	}{{&failovers, strings.TrimPrefix(first, failovers.heading)}, {&announcements, second}, {&guards, third}, {&disasters, fourth}} {
		text := b.chapter(c.part)
		if text == "" {
			text = strings.TrimSpace(c.old)
		}
		if text = strings.TrimSpace(text); text != "" {
			s.WriteString(c.heading + "\n" + text + "\n\n")
		}
	}
	return strings.TrimRight(s.String(), "\n") + "\n"
}

// chapter is the text of a part without its heading, "" if nothing of it was
// measured.
func (b *bench) chapter(p *part) string {
	var tables []*table
	for _, t := range b.tables {
		if t.part == p {
			tables = append(tables, t)
		}
	}
	if len(tables) == 0 {
		return ""
	}
	var s strings.Builder
	p.introduce(b, &s)
	if p.rivals != "" {
		fmt.Fprintf(&s, "## Summary\n\nMedians.\n\n| measurement | figure | vipd | %s | %s |\n|---|---|---|---|---|\n", p.rivals, p.ratio)
		for _, t := range tables {
			s.WriteString(t.summary())
		}
		s.WriteString("\n")
	}
	for _, t := range tables {
		s.WriteString(t.markdown())
	}
	s.WriteString(p.end)
	return s.String()
}

func (b *bench) introduce(s *strings.Builder) {
	fmt.Fprintf(s, `vipd beside keepalived and FRR's vrrpd, measured by `+"`make bench`"+`, which writes this whole file. Do not edit it.

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

func (b *bench) introduceAnycast(s *strings.Builder) {
	fmt.Fprintf(s, `vipd beside BIRD with a script, and ExaBGP with the health check that it brings, by `+"`make bench BENCH='-only anycast'`"+`.

- Machine: %d cores, Linux %s, shared with other work. Absolute times are of this machine; ratios and medians are what counts.
- vipd of this tree, built with %s; BIRD %s; ExaBGP %s; the ToR is FRR %s or the same BIRD. eBGP over IPv4, hold time 3 s, all retries
  of sessions at 1 s, the least that they have.
- A lab is a ToR and a host on one Linux bridge. *Gone* and *back* are seen in the ToR's kernel: the time from the event until its routing
  table (FIB) says so, by netlink, on the clock that timed the event.
- The programs take turns in one run. A cell is minimum / **median** / maximum (n samples); the last column is the ratio of the
  medians to the best rival's, below 1 where vipd needs less.
- Polled are all by the same script, every 100 ms, and two failures in a row count. BIRD's loop is sh and birdc, as anycast_healthchecker is no
  Debian package.
- Measured on %s, in %s.

`, runtime.NumCPU(), kernel(), runtime.Version(), version(`version ([0-9.]+)`, birdPath, "--version"),
		version(`ExaBGP : ([0-9.]+)`, exabgpPath, "--version"), version(`version ([0-9.]+)`, "/usr/lib/frr/bgpd", "--version"),
		b.started.UTC().Format(time.DateOnly), time.Since(b.started).Round(time.Minute))
}

const anycastNotMeasured = `## What is not measured of anycast

Several ToRs and hosts, IPv6, sessions over several hops, a real switch and its hardware tables, loss on the way, a loaded host.
`

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
