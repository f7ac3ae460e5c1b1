package fence

import (
	"fmt"
	"strings"
	"time"
)

// Proof says that the peer holds nothing.
type Proof struct {
	Kind    ProofKind
	Level   int      // from 1, 0 = of none
	Devices []string // that read off; shared, not to be changed
	By      string   // the operator
	At      time.Time
	Read    time.Time // beginning of the last reading of off; At of an operator's
	Until   time.Time // it is good before this, if it is not renewed
}

// ProofKind is what a [Proof] rests on; "" = there is none.
type ProofKind string

// The kinds of proof.
const (
	ByOff      ProofKind = "off"      // devices read off several times, and are read again while it is needed
	ByReboot   ProofKind = "reboot"   // they did, and power is given back
	ByOperator ProofKind = "operator" // somebody looked
)

const (
	// proofAge is how old a reading of off may be.
	proofAge = 5 * time.Second
	// rebootAge is for how long a host that gets its power back holds nothing: no
	// host boots in twice that.
	rebootAge = 10 * time.Second
)

// Proof returns what proves that the peer holds nothing, if anything does now.
// Ask for it in the turn in which it is used: it may be over a moment later.
func (f *Fencer) Proof(now time.Time) (Proof, bool) {
	p := f.proof
	good := p.Kind != "" && now.Before(p.Until) && !f.alive(now) && (p.Kind == ByOperator || !f.sit.Upset.After(p.Read))
	if !good {
		return Proof{}, false
	}
	return p, true
}

// Age is how long ago the peer was last seen off.
func (p Proof) Age(now time.Time) time.Duration { return now.Sub(p.Read) }

// String is the proof as an operator would tell it.
func (p Proof) String() string {
	switch p.Kind {
	case ByOperator:
		return "confirmed by " + p.By
	case ByOff:
		return strings.Join(p.Devices, ", ") + " read off"
	case ByReboot:
		return strings.Join(p.Devices, ", ") + " read off, then power was given back"
	}
	return "no proof"
}

// prove ends the round: the peer is off.
func (f *Fencer) prove(now time.Time) {
	r := &f.round
	names, known := f.cfg.Levels[r.level], f.offLevel == r.level
	f.proof = Proof{Kind: ByOff, Level: r.level + 1, Devices: names, At: now, Read: r.reading, Until: now.Add(proofAge)}
	f.offLevel = r.level
	if f.cfg.Reboot {
		f.proof.Kind, f.proof.Until, f.offLevel = ByReboot, r.reading.Add(rebootAge), -1
		f.power = nil
		for _, name := range names {
			f.power = append(f.power, job{device: name, after: now})
		}
	}
	l := &r.levels[r.level]
	*l = levelState{state: LevelProved, since: l.since, took: now.Sub(l.since)}
	text := fmt.Sprintf("%s is off: %s read so %d times in a row", f.peer, strings.Join(names, ", "), r.streak)
	f.report(Verified, r.level, "", Warning, "%s", text)
	if !known {
		f.remember(now, Verified, r.level, "", text)
	}
	f.become(now, Proven)
}

// expire ends proofs that are over.
func (f *Fencer) expire(now time.Time) {
	if f.proof.Kind == "" {
		return
	}
	if _, ok := f.Proof(now); ok {
		return
	}
	was := f.proof
	f.proof = Proof{}
	if f.phase != Proven {
		return
	}
	switch was.Kind {
	case ByOff:
		f.report(Void, f.round.level, "", Warning, "%s was not read off in time: it is verified again", strings.Join(was.Devices, ", "))
		f.round.recheck = true
		f.verify(now)
	case ByReboot, ByOperator:
		if len(f.sit.Waiting) > 0 && !f.alive(now) {
			f.report(Void, -1, "", Warning, "what was proven of %s is over: %s", f.peer, was)
		}
		f.round = round{}
		f.become(now, Idle)
	}
}

// void ends a proof that is not true any more.
func (f *Fencer) void(now time.Time, why string) {
	text := fmt.Sprintf("%s is not off any more: %s", f.peer, why)
	f.report(Void, f.round.level, "", Critical, "%s", text)
	f.remember(now, Void, f.round.level, "", text)
	f.proof, f.offLevel = Proof{}, -1
	f.cutAgain(now)
}

// Confirm takes the word of an operator that the peer is powered off, or cut
// off the network. It is good for what waits now, once, and for ConfirmTTL. The
// error says why it is refused, and what to do.
func (f *Fencer) Confirm(now time.Time, by string) ([]Action, error) {
	if f.alive(now) {
		return nil, fmt.Errorf("%s is not off: it was heard %s ago", f.peer, short(now.Sub(f.heard)))
	}
	if len(f.sit.Waiting) == 0 {
		return nil, fmt.Errorf("nothing waits for the end of %s", f.peer)
	}
	f.proof = Proof{Kind: ByOperator, By: by, At: now, Read: now, Until: now.Add(f.cfg.ConfirmTTL)}
	text := fmt.Sprintf("%s states that %s is off", by, f.peer)
	f.report(Confirmed, -1, "", Warning, "%s", text)
	f.remember(now, Confirmed, -1, by, text)
	f.advance(now)
	out := f.out
	f.out = nil
	return out, nil
}
