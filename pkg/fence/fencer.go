package fence

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Fencer decides about one peer host. Make it with [New]. It is not safe for
// concurrent use.
type Fencer struct {
	peer string
	cfg  Config

	heard time.Time // last authentic message of the peer, zero = never
	boot  uint64    // of the peer, as last told
	sit   Situation
	freed time.Time // this host stopped to be the isolated one, zero = it never was

	phase   Phase
	since   time.Time // of the phase
	why     string    // why a shot must not begin now
	again   time.Time // when that may change by itself
	turning bool      // it is only the turn that is waited for
	round   round
	run     *attempt
	last    uint64 // ID of the newest attempt

	proof    Proof // its Kind says whether there is one
	offLevel int   // the devices of this level read off last, and nothing spoke against it; -1 = of none
	aimed    int   // a device of this level was told last to cut the peer off; -1 = of none
	power    []job // devices to switch on again
	shots    []time.Time
	fired    uint64 // shots in all
	misses   uint64 // attempts to shoot that failed
	devices  map[string]*device

	out []Action
}

// job is a device to switch on, and how often that failed.
type job struct {
	device string
	tries  int
	after  time.Time
}

// attempt is an agent that runs.
type attempt struct {
	id      uint64
	device  string
	verb    Verb
	started time.Time
	timeout time.Duration
	monitor bool // for the state of the device only
}

// lostAfter is how long after its timeout an agent is given up that nobody
// answers for. It is killed at its timeout, so this does not happen.
const lostAfter = 5 * time.Second

// Phase is how far a Fencer is.
type Phase string

// The phases.
const (
	Idle      Phase = "idle"      // nothing waits for the peer's end, or it is heard
	Forbidden Phase = "held"      // something waits, and a shot must not begin now
	Cutting   Phase = "cutting"   // devices are told to cut the peer off
	Verifying Phase = "verifying" // they are read
	Proven    Phase = "proven"    // the peer holds nothing
	Resting   Phase = "failed"    // all levels failed; tried again soon
)

// New returns a Fencer for a peer that was not heard yet, on a host that has
// just started.
func New(peer string, cfg Config, now time.Time) *Fencer {
	f := &Fencer{peer: peer, cfg: cfg, phase: Idle, since: now, offLevel: -1, aimed: -1, sit: Situation{Upset: now}, devices: map[string]*device{}}
	f.watch(now)
	return f
}

// Clone returns a copy that goes its own way from here.
func (f *Fencer) Clone() *Fencer {
	c := *f
	c.sit.Waiting = slices.Clone(f.sit.Waiting)
	c.round.levels = slices.Clone(f.round.levels)
	c.power, c.shots, c.out = slices.Clone(f.power), slices.Clone(f.shots), nil
	if f.run != nil {
		run := *f.run
		c.run = &run
	}
	c.devices = make(map[string]*device, len(f.devices))
	for name, d := range f.devices {
		seen := *d
		c.devices[name] = &seen
	}
	return &c
}

// Step takes what happened, and returns what to do.
func (f *Fencer) Step(now time.Time, ev Event) []Action {
	switch ev := ev.(type) {
	case Wake:
	case Heard:
		f.hear(now, ev)
	case Situation:
		ev.Waiting = slices.Clone(ev.Waiting)
		if f.sit.Isolated != "" && ev.Isolated == "" {
			f.freed = now
		}
		f.sit = ev
	case Ended:
		f.ended(now, ev)
	case Configure:
		f.configure(now, ev.Config)
	}
	f.advance(now)
	out := f.out
	f.out = nil
	return out
}

// Next is when Step wants to be called with [Wake]; zero = not before something
// happens.
func (f *Fencer) Next() time.Time {
	var next time.Time
	soon := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if f.run != nil {
		soon(f.run.started.Add(f.run.timeout + lostAfter))
	} else {
		for _, j := range f.power {
			soon(j.after)
		}
		if f.phase == Idle {
			soon(f.monitorDue())
		}
	}
	switch f.phase {
	case Idle:
		if len(f.sit.Waiting) > 0 {
			soon(f.heard.Add(f.cfg.Silence)) // it was heard, and may fall silent
		}
	case Forbidden:
		soon(f.again)
	case Cutting, Verifying, Resting:
		if f.run == nil {
			soon(f.round.after)
		}
	case Proven:
		soon(f.proof.Until)
		if f.run == nil && f.proof.Kind == ByOff {
			soon(f.round.after)
		}
	}
	return next
}

// silentSince is when a peer that was heard counts as silent if nothing more
// comes; zero when it was not heard since this host was upset.
func (f *Fencer) silentSince() time.Time {
	if !f.heardSince() {
		return time.Time{}
	}
	return f.heard.Add(f.cfg.Silence)
}

// heardSince reports whether the peer was heard since this host was upset.
func (f *Fencer) heardSince() bool { return !f.heard.IsZero() && !f.heard.Before(f.sit.Upset) }

// alive reports whether the peer was heard just now.
func (f *Fencer) alive(now time.Time) bool {
	return !f.heard.IsZero() && now.Before(f.heard.Add(f.cfg.Silence))
}

// advance does what can be done now.
func (f *Fencer) advance(now time.Time) {
	if f.run != nil && !now.Before(f.run.started.Add(f.run.timeout+lostAfter)) {
		f.ended(now, Ended{ID: f.run.id, Exit: -1, Late: true, Detail: "nobody says how it ended"})
	}
	f.expire(now)
	switch {
	case len(f.sit.Waiting) == 0:
		f.stand(now, "nothing waits for it any more")
		if f.proof.Kind == ByOperator {
			f.proof = Proof{} // it was good for what waited then
		}
	case f.alive(now):
		f.stand(now, f.peer+" is heard")
	default:
		f.fence(now)
	}
	if f.run == nil {
		f.chores(now)
	}
}

// become enters a phase.
func (f *Fencer) become(now time.Time, p Phase) {
	if f.phase != p {
		f.phase, f.since = p, now
	}
	if p != Forbidden {
		f.why, f.again, f.turning = "", time.Time{}, false
	}
}

// hear takes a message of the peer: it lives.
func (f *Fencer) hear(now time.Time, ev Heard) {
	booted := ev.Boot != 0 && f.boot != 0 && ev.Boot != f.boot
	known := f.offLevel
	f.heard = now
	if ev.Boot != 0 {
		f.boot = ev.Boot
	}
	if known >= 0 {
		if booted {
			text := fmt.Sprintf("%s is back after it was cut off by %s", f.peer, strings.Join(f.cfg.Levels[known], ", "))
			f.report(Void, known, "", Notice, "%s", text)
			f.remember(now, Void, known, "", text)
			f.lookAgain(now, known) // perhaps only its vipd has started anew
		} else {
			f.lied(now, known)
		}
	} else if f.proof.Kind != "" {
		f.report(Void, -1, "", Notice, "%s is heard: what was proven of it is over", f.peer)
	}
	f.proof, f.offLevel = Proof{}, -1
}

// stand ends what is being done about the peer, because of what.
func (f *Fencer) stand(now time.Time, because string) {
	if f.phase == Idle {
		return
	}
	if f.run != nil && f.run.verb != VerbOn {
		f.stop(now)
	}
	if f.phase != Proven {
		f.abort(now, because)
	}
	f.become(now, Idle)
	f.round = round{}
}

// abort tells that a fence was given up, and of what is half done.
func (f *Fencer) abort(now time.Time, because string) {
	text, severity := fmt.Sprintf("%s is not fenced: %s", f.peer, because), Notice
	if cut := f.round.cut; len(cut) > 0 {
		text += fmt.Sprintf("; %s cut it off already: switch it on again by hand", strings.Join(cut, ", "))
		severity = Critical
	}
	f.report(Aborted, -1, "", severity, "%s", text)
	f.remember(now, Aborted, -1, "", text)
}

// start has an agent run.
func (f *Fencer) start(now time.Time, name string, v Verb, timeout time.Duration) *attempt {
	f.last++
	f.run = &attempt{id: f.last, device: name, verb: v, started: now, timeout: timeout}
	f.out = append(f.out, RunAgent{ID: f.last, Peer: f.peer, Device: name, Verb: v, Timeout: timeout})
	return f.run
}

// stop kills the agent that runs. One that was to cut the peer off may have reached the
// device already.
func (f *Fencer) stop(now time.Time) {
	f.out = append(f.out, StopAgent{f.run.id})
	if f.run.verb == VerbOff {
		f.shot(now, f.run.device, fmt.Sprintf("%s was told to cut %s off, and is called off: that may have been done already", f.run.device, f.peer))
	}
	f.run = nil
}

// ended takes the end of an agent.
func (f *Fencer) ended(now time.Time, e Ended) {
	run := f.run
	if run == nil || e.ID != run.id {
		return // nobody waits for it any more
	}
	f.run = nil
	o := e.outcome(run.verb)
	if late := now.Sub(run.started) > run.timeout+lostAfter; run.verb == VerbStatus && (late || f.sit.Upset.After(run.started)) {
		o, e.Detail = failed, "read before this host was stopped for a while"
	} else {
		f.saw(now, run, o, e.Detail)
	}
	switch {
	case run.monitor:
	case run.verb == VerbOn:
		f.poweredOn(now, run, o, e.Detail)
	case run.verb == VerbOff:
		f.cutOff(now, run, o, e)
	default:
		f.read(now, run, o, e.Detail)
	}
}

// configure takes a new configuration. A round by other means than before begins
// anew; a proof by other means is none, since it cannot be renewed.
func (f *Fencer) configure(now time.Time, cfg Config) {
	same := f.cfg.sameDevices(cfg)
	if !same && f.run != nil {
		f.stop(now)
	}
	f.cfg = cfg
	if !same {
		f.offLevel, f.aimed = -1, -1
		f.power = slices.DeleteFunc(f.power, func(j job) bool { _, ok := cfg.Devices[j.device]; return !ok })
		if f.proof.Kind != ByOperator {
			f.proof = Proof{}
		}
		if f.phase != Idle {
			f.become(now, Idle)
			f.round = round{}
		}
	}
	f.watch(now)
}

// watch keeps the state of the devices of the configuration, and of no others.
// Whoever loads a configuration has seen to devices that lied.
func (f *Fencer) watch(now time.Time) {
	maps.DeleteFunc(f.devices, func(name string, _ *device) bool {
		_, ok := f.cfg.Devices[name]
		return !ok
	})
	for name, d := range f.cfg.Devices {
		if d.Agent == AgentManual {
			continue
		}
		if f.devices[name] == nil {
			f.devices[name] = &device{since: now}
		}
		seen := f.devices[name]
		seen.due, seen.distrust, seen.lasting = f.firstLook(now, name), "", false
	}
}

func (f *Fencer) report(k Kind, level int, name string, s Severity, format string, args ...any) {
	f.out = append(f.out, Report{Kind: k, Peer: f.peer, Device: name, Level: level + 1, Severity: s, Text: fmt.Sprintf(format, args...)})
}
