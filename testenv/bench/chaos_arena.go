package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vipd/vipd/testenv"
)

// arena is a pair behind one guard, and what can be done to it.
type arena struct {
	*pair
	guard   string
	binary  string
	cut     [2][]*testenv.FenceDevice // that cut lb1 off, in order, and lb2
	rack    *testenv.Host             // of the witness
	witness *testenv.Process
	apis    [2]*http.Client
}

const witnessAddress = "198.18.1.7"

// newArena builds the lab and returns when all is well in it.
func (c *chaos) newArena(ctx context.Context, j job) (*arena, error) {
	g := &guarded{talks: true, stays: true}
	d := c.daemons[0]
	if j.guard == byNobody {
		d = c.daemons[1]
	}
	p, err := emptyPair(d, spec{interval: c.interval, vips: 1, guard: g})
	if err != nil {
		return nil, err
	}
	a := &arena{pair: p, guard: j.guard, binary: c.binary}
	if err := a.build(j.fault); err != nil {
		return nil, errors.Join(err, a.close())
	}
	for i := range a.hosts {
		if err := a.start(i); err != nil {
			return nil, errors.Join(err, a.close())
		}
	}
	return a, nil
}

// build adds what the guard needs.
func (a *arena) build(f calamity) error {
	g := a.spec.guard
	for i, h := range a.hosts {
		socket := filepath.Join(h.Dir(), "vipd.sock")
		a.apis[i] = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}}}
	}
	switch a.guard {
	case byFence:
		g.takeover = "fence"
		for i, target := range a.hosts {
			if err := a.devices(i, target, f); err != nil {
				return err
			}
		}
	case byVotes:
		g.takeover = "votes"
		var err error
		if a.rack, err = a.lab.Host("rack3", witnessAddress+"/16"); err != nil {
			return err
		}
		for i, h := range a.hosts {
			key, err := keyFile(h, "witness-key")
			if err != nil {
				return err
			}
			g.more[i] = fmt.Sprintf("[witness.rack3]\naddress = %q\nkey_file = %q\n", witnessAddress, key)
		}
		return a.startWitness()
	}
	return nil
}

// devices gives the other host two ways to cut the target off.
func (a *arena) devices(i int, target *testenv.Host, f calamity) error {
	shooter := a.hosts[1-i]
	first, plug := f.device, target
	if first == "" {
		first = testenv.FenceWorks
	}
	if f.wrongPlug {
		plug = shooter
	}
	text := ""
	for _, d := range []struct {
		name string
		plug *testenv.Host
		is   testenv.FenceBehaviour
	}{{"first", plug, first}, {"second", target, testenv.FenceWorks}} {
		device, err := shooter.FenceDevice(d.name, d.plug, d.is)
		if err != nil {
			return err
		}
		a.cut[i] = append(a.cut[i], device)
		text += fmt.Sprintf("[fence.device.%s]\nagent = %q\n", d.name, device.Program)
	}
	a.spec.guard.levels = `fence = [["first"], ["second"]]`
	a.spec.guard.more[1-i] = fmt.Sprintf(`[fence]
track           = ["gateway"]
attempts        = 1
attempt_timeout = "2s"
settle          = "0s"
monitor         = "0s"
verify          = { reads = 2, every = "100ms", within = "1s" }
rate            = { max = 100, per = "1m" }
%s[check.gateway]
type     = "icmp"
target   = "198.18.1.10"
interval = "50ms"
timeout  = "50ms"
rise     = 1
fall     = 2
`, text)
	return nil
}

func (a *arena) startWitness() error {
	key, err := keyFile(a.rack, "witness-key")
	if err != nil {
		return err
	}
	a.witness, err = a.rack.Start(exec.Command(a.binary, "witness", "--name", "rack3", "--key-file", key, "--max-ttl", "3s"))
	return err
}

func (a *arena) killWitness() { a.witness.Kill() }

// off reports whether a device has cut a host off.
func (a *arena) off(i int) bool {
	for _, d := range a.cut[i] {
		if d.Off() {
			return true
		}
	}
	return false
}

// standing is the part of vipd.status/v1 that tells whether all is well.
type standing struct {
	VIPs []struct {
		State string `json:"state"`
		Held  bool   `json:"held"`
		Votes struct {
			Votes []struct {
				Counts bool      `json:"counts"`
				Why    string    `json:"why"`
				Heard  time.Time `json:"heard"`
			} `json:"votes"`
		} `json:"votes"`
	} `json:"vips"`
	Checks []struct {
		State string `json:"state"`
	} `json:"checks"`
	Pair *struct {
		Peers []struct {
			Heard   bool `json:"heard"`
			HearsUs bool `json:"hears_us"`
		} `json:"peers"`
	} `json:"pair"`
	Fences []struct {
		Phase string `json:"phase"`
	} `json:"fences"`
}

// stands asks vipd how it is.
func (a *arena) stands(ctx context.Context, i int) (s standing, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://vipd/v1/status", nil)
	if err != nil {
		return s, err
	}
	resp, err := a.apis[i].Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read, or not
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// reload has vipd load its configuration again.
func (a *arena) reload(ctx context.Context, i int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://vipd/v1/reload", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.apis[i].Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reload vipd on %s: %s", a.hosts[i].Name, resp.Status)
	}
	return nil
}

// well reports whether a host has nothing to wait for, by what it has heard since then,
// and whether it holds the VIP.
func (s standing) well(guard string, since time.Time) (well, holds bool) {
	if len(s.VIPs) != 1 || s.Pair == nil || len(s.Pair.Peers) != 1 {
		return false, false
	}
	v, p := s.VIPs[0], s.Pair.Peers[0]
	holds = v.State == "ACTIVE"
	well = p.Heard && p.HearsUs && holds == v.Held && (holds || v.State == "BACKUP")
	if guard == byVotes {
		well = well && (!holds || len(v.Votes.Votes) == 3)
		for _, one := range v.Votes.Votes { // no voter has started just now, and gives none
			well = well && (!holds || one.Counts && one.Why == "" && one.Heard.After(since))
		}
	}
	for _, f := range s.Fences {
		well = well && f.Phase == "idle"
	}
	for _, c := range s.Checks {
		well = well && c.State == "up"
	}
	return well, holds
}

// settle waits until one host holds and the other one is ready, and names the one
// that holds.
func (a *arena) settle(ctx context.Context, probes *testenv.Prober) (was int, err error) {
	if a.guard == byNobody {
		return a.holder(ctx, probes)
	}
	var last string
	since := time.Now()
	err = until(ctx, patience, func() bool {
		var holds [2]bool
		for i := range a.hosts {
			s, err := a.stands(ctx, i)
			last = fmt.Sprintf("%s: %+v %v", a.hosts[i].Name, s, err)
			well, active := s.well(a.guard, since)
			if err != nil || !well {
				return false
			}
			holds[i] = active
		}
		was = 0
		if holds[1] {
			was = 1
		}
		return holds[0] != holds[1]
	})
	if err != nil {
		return 0, fmt.Errorf("wait until all is well: %w: %s", err, last)
	}
	return was, answered(ctx, probes, a.hosts[was].Name)
}

// until waits for a condition that costs more to look at than [testenv.Until] likes.
func until(ctx context.Context, limit time.Duration, cond func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
