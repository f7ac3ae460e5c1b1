package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/testenv"
)

const (
	// allowance is what a limit may be exceeded by on a machine that does other things
	// as well. What was measured is shown as it is.
	allowance = 250 * time.Millisecond
	// bootTime is what hosts that boot may need beside what they wait for.
	bootTime = 2 * time.Second
	// fenceTime is what a device of the lab may need, and its reads.
	fenceTime = 5 * time.Second
	// patience is how long anything may take to happen.
	patience = 20 * time.Second
	// settle is how long the new holder must answer before a scenario is over.
	settle = testenv.ProbeTimeout
	// inFlight is how long before a scenario a probe was sent that it may still cost.
	inFlight = 20 * time.Millisecond
)

// Run plays every scenario, and takes the lab down again. It must be called in a
// process that testenv.Isolate has put into namespaces of its own. An error says
// that two files are none of a pair; all else is in the document.
func Run(ctx context.Context, files [2]*File, opts Options) (*Document, error) {
	p, err := newPlan(files)
	if err != nil {
		return nil, err
	}
	t := &trial{
		opts: opts, files: files, plan: p, probes: map[string]*testenv.Prober{}, holder: map[string]string{},
		doc: &Document{Schema: schema, Started: time.Now(), Allowance: allowance, Network: p.words(files), Notes: []string{}, Scenarios: []Scenario{}},
	}
	for _, f := range files {
		t.doc.Hosts = append(t.doc.Hosts, HostReport{f.Name, f.Path})
	}
	err = cmp.Or(t.build(), t.play(ctx))
	t.end(ctx, err)
	return t.doc, nil
}

// end takes the lab down and says how it went.
func (t *trial) end(ctx context.Context, err error) {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		err = errors.New("interrupted")
	case ctx.Err() != nil:
		err = errors.New("the trial took longer than it may")
	}
	failed := slices.ContainsFunc(t.doc.Scenarios, func(s Scenario) bool { return !s.OK })
	if err != nil || failed {
		t.doc.Logs = map[string]string{}
		for _, h := range t.hosts {
			if h != nil && h.agent != nil {
				t.doc.Logs[h.Name] = h.agent.Log()
			}
		}
	}
	if t.lab != nil {
		err = cmp.Or(err, t.lab.Close())
	}
	if err != nil {
		t.doc.Problem = err.Error()
	}
	t.doc.OK, t.doc.Took = err == nil && !failed, time.Since(t.doc.Started)
}

// play boots the pair, and does to each host what can happen to it.
func (t *trial) play(ctx context.Context) error {
	fencing, stop := context.WithCancel(ctx)
	var fences sync.WaitGroup
	fences.Go(func() { t.fences(fencing) })
	defer fences.Wait()
	defer stop()
	for _, p := range t.plan.problems {
		t.doc.Scenarios = append(t.doc.Scenarios, Scenario{Name: "boot", VIP: strings.TrimPrefix(strings.Fields(p)[0], "vip."), Problem: p})
	}
	t.say("boot: %s and %s at the same time", t.hosts[0].Name, t.hosts[1].Name)
	if err := t.boot(ctx); err != nil {
		return err
	}
	for _, s := range []struct {
		name, words string
		do, undo    func(context.Context, *host) error
		limit       func(*trial, string, *host) time.Duration
	}{
		{"drain", "is drained", t.drain, t.undrain, (*trial).planned},
		{"kill", "loses power", t.kill, t.revive, (*trial).silence},
		{"cut", "is cut off the network", t.cut, t.revive, (*trial).silence},
	} {
		for _, h := range t.hosts {
			if t.holds(h) == nil {
				continue
			}
			t.say("%s: %s %s, and comes back", s.name, h.Name, s.words)
			if err := t.scene(ctx, s.name, h, s.do, s.limit); err != nil {
				return err
			}
			if err := s.undo(ctx, h); err != nil {
				return fmt.Errorf("%s of %s: %w", s.name, h.Name, err)
			}
			if err := t.calm(ctx, s.name, h); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *trial) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.opts.Out, format+"\n", args...)
}

// boot starts both hosts, and waits until each VIP is held by one of them.
func (t *trial) boot(ctx context.Context) error {
	begun := time.Now()
	limit := bootTime
	for _, h := range t.hosts {
		if err := h.agent.Start(); err != nil {
			return fmt.Errorf("start vipd on %s: %w", h.Name, err)
		}
		wait := h.file.cfg.Engine.StartupDelay
		for _, v := range h.file.cfg.Engine.VIPs {
			limit = max(limit, wait+5*v.Interval+bootTime)
		}
	}
	if err := t.watch(); err != nil {
		return err
	}
	err := t.rest(ctx, limit+patience)
	for _, name := range t.plan.vips {
		s := Scenario{Name: "boot", VIP: name, To: t.holder[name], Limit: limit}
		if s.To == "" {
			s.Problem = t.why(ctx, name)
			t.doc.Scenarios = append(t.doc.Scenarios, s)
			continue
		}
		if first, ok := t.probes[name].Report().FirstAnswerFrom(s.To, begun); ok {
			s.Outage = first.Answered.Sub(begun)
		}
		s.judge()
		t.doc.Scenarios = append(t.doc.Scenarios, s)
	}
	return err
}

// judge compares an outage with its limit.
func (s *Scenario) judge() {
	if s.OK = s.Outage <= s.Limit+allowance; !s.OK && s.Problem == "" {
		s.Problem = fmt.Sprintf("nobody answered for %s, the limit is %s", s.Outage.Round(time.Millisecond), s.Limit.Round(time.Millisecond))
	}
}

// holds are the VIPs for which a host answers the client.
func (t *trial) holds(h *host) []string {
	var list []string
	for _, name := range t.plan.vips {
		if t.holder[name] == h.Name {
			list = append(list, name)
		}
	}
	return list
}

// scene does something to a host, and tells what that cost each VIP that it held.
func (t *trial) scene(ctx context.Context, name string, h *host, do func(context.Context, *host) error, limit func(*trial, string, *host) time.Duration) error {
	other := t.hosts[0]
	if other == h {
		other = t.hosts[1]
	}
	begun := time.Now()
	if err := do(ctx, h); err != nil {
		return fmt.Errorf("%s of %s: %w", name, h.Name, err)
	}
	for _, vip := range t.holds(h) {
		s := Scenario{Name: name, Host: h.Name, VIP: vip, From: h.Name, To: other.Name, Limit: limit(t, vip, other)}
		if err := t.answers(ctx, vip, other.Name, begun, s.Limit+patience); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.To, s.Outage, s.Problem = "", time.Since(begun), "nobody took it: "+t.why(ctx, vip)
			t.doc.Scenarios = append(t.doc.Scenarios, s)
			continue
		}
		r := t.probes[vip].Report().Since(begun.Add(-inFlight))
		s.Outage, s.Lost = r.LongestGap, r.Lost
		s.judge()
		t.doc.Scenarios = append(t.doc.Scenarios, s)
	}
	return nil
}

// answers waits until a host answers a VIP, and for long enough to know what was
// lost.
func (t *trial) answers(ctx context.Context, vip, name string, since time.Time, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	first, err := t.probes[vip].WaitAnswer(ctx, name)
	for p := first; err == nil && (p.Sent.Before(since) || p.Sent.Sub(first.Sent) < settle); {
		p, err = t.probes[vip].WaitAnswer(ctx, name)
	}
	return err
}

// calm waits until each VIP has one holder again after a scenario.
func (t *trial) calm(ctx context.Context, name string, h *host) error {
	err := t.rest(ctx, patience+h.file.cfg.Engine.StartupDelay)
	if err != nil && ctx.Err() == nil {
		t.doc.Scenarios = append(t.doc.Scenarios, Scenario{Name: name, Host: h.Name, VIP: strings.Join(t.plan.vips, ", "), Problem: err.Error()})
	}
	return err
}

// rest waits until one host holds each VIP, both hosts know it, and the client
// agrees.
func (t *trial) rest(ctx context.Context, within time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var found map[string][]string
	var dead *host
	one := func() bool {
		found, dead = t.holders(bounded), t.dead()
		return dead != nil || !slices.ContainsFunc(t.plan.vips, func(name string) bool { return len(found[name]) != 1 || !t.settled(bounded, name) })
	}
	for {
		err := testenv.Until(bounded, one)
		if dead != nil {
			return fmt.Errorf("vipd on %s ended by itself", dead.Name)
		}
		silent := ""
		for _, name := range t.plan.vips {
			if t.holder[name] = ""; len(found[name]) == 1 {
				t.holder[name] = found[name][0]
			}
			switch {
			case err != nil && t.holder[name] == "":
				return fmt.Errorf("%s is held by %s after %s: %s", name, cmp.Or(strings.Join(found[name], " and "), "nobody"), within, t.why(ctx, name))
			case err == nil && t.answers(bounded, name, t.holder[name], time.Now(), 2*settle) != nil:
				silent = name
			}
		}
		switch {
		case err == nil && silent == "":
			return nil
		case silent != "" && bounded.Err() != nil:
			return fmt.Errorf("%s is held by %s, which does not answer the client", silent, t.holder[silent])
		case bounded.Err() != nil:
			return fmt.Errorf("the pair does not come to rest within %s", within)
		}
	}
}

// dead is a host whose daemon ended although nobody cut it off, nil when there is
// none.
func (t *trial) dead() *host {
	for _, h := range t.hosts {
		if _, err := os.Stat(filepath.Join(h.Dir(), "is-off")); err != nil && !h.runs() {
			return h
		}
	}
	return nil
}

// settled reports whether a VIP stays where it is, as far as its hosts know: nobody
// is about to take it, and the other host is ready if it can be.
func (t *trial) settled(ctx context.Context, name string) bool {
	for _, h := range t.hosts {
		doc, err := h.status(ctx)
		if err != nil {
			return false
		}
		for _, v := range doc.VIPs {
			waits := v.State == engine.Initialize && v.Reason == string(engine.BlockedStartup)
			preempts := v.State == engine.Backup && v.Active != nil && v.Active.Priority < v.Priority.Effective && v.PreemptHolding == ""
			deaf := v.State == engine.Backup && v.Active == nil // it does not know the holder yet
			if v.Name == name && (waits || preempts || deaf || v.Handover != nil) {
				return false
			}
		}
		if doc.Pair != nil && slices.ContainsFunc(doc.Pair.Peers, func(p engine.PeerStatus) bool { return !p.Heard || !p.HearsUs }) {
			return false
		}
	}
	return true
}

// why tells what each host says of a VIP.
func (t *trial) why(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	var words []string
	for _, h := range t.hosts {
		doc, err := h.status(ctx)
		if err != nil {
			words = append(words, h.Name+" does not run")
			continue
		}
		for _, v := range doc.VIPs {
			if v.Name == name {
				words = append(words, fmt.Sprintf("%s is %s (%s)", h.Name, control.ShownState(v), v.Why))
			}
		}
	}
	return strings.Join(words, "; ")
}

// planned is the limit of a move that the holder asks for: nothing where both hosts
// talk, the skew time of the other host where they do not.
func (t *trial) planned(vip string, to *host) time.Duration {
	v := to.file.cfg.Engine.VIPs[vip]
	if to.file.cfg.Engine.Pair != nil && !v.Break {
		return v.BeforeHold
	}
	return skew(v) + v.BeforeHold
}

// silence is the limit of a takeover from a host that says nothing more: the
// Active_Down_Interval of the other one, and where it has to fence, the time that
// takes.
func (t *trial) silence(vip string, to *host) time.Duration {
	v := to.file.cfg.Engine.VIPs[vip]
	limit := 3*v.Interval + skew(v) + v.BeforeHold
	if v.Takeover == engine.TakeoverVRRP {
		return limit
	}
	for _, f := range to.file.cfg.Engine.Fences {
		limit = max(limit, limit+f.Silence+f.Verify.Within+fenceTime)
	}
	return limit
}

// skew is Skew_Time (RFC 9568, Section 6.1; RFC 3768 for version 2).
func skew(v engine.VIP) time.Duration {
	unit := v.Interval
	if v.Version == 2 {
		unit = time.Second
	}
	return unit * time.Duration(256-int(v.Priority)) / 256
}

// drain is an operator.
func (t *trial) drain(ctx context.Context, h *host) error {
	_, err := control.Client{Socket: h.agent.Socket}.Drain(ctx, control.DrainRequest{Reason: "lab test", Wait: true})
	return err
}

func (t *trial) undrain(ctx context.Context, h *host) error {
	_, err := control.Client{Socket: h.agent.Socket}.Undrain(ctx, nil)
	return err
}

func (t *trial) kill(_ context.Context, h *host) error { return t.powerOff(h) }

// cut drops every frame from and to a host, whose daemon goes on.
func (t *trial) cut(_ context.Context, h *host) error { return t.lab.Cut(h.Host) }

// revive undoes both.
func (t *trial) revive(_ context.Context, h *host) error {
	if err := t.lab.Heal(); err != nil {
		return err
	}
	for _, dev := range t.plan.vips {
		_ = h.ForgetNeighbour(target(h.file.cfg.Engine.VIPs[dev])) // a boot would have
	}
	return t.powerOn(h)
}
