package fence

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// device is what is known of a device from its readings.
type device struct {
	known bool // it was read at all
	bad   bool
	since time.Time // it is so
	text  string    // why it is bad
	// distrust is why its readings prove nothing, "" = they do. It stays until the
	// configuration is loaded again, or, unless it is lasting, until the device
	// reads on.
	distrust string
	lasting  bool
	on       string // the last reading: "on", "off", "" = none
	runs     uint64
	due      time.Time
}

// firstSpread is the time over which the first readings after a start are spread.
const firstSpread = 30 * time.Second

// chores does what need not be done at once: power given back, devices looked at.
func (f *Fencer) chores(now time.Time) {
	for i := range f.power {
		if !now.Before(f.power[i].after) {
			f.start(now, f.power[i].device, VerbOn, f.cfg.AttemptTimeout)
			return
		}
	}
	if f.phase != Idle {
		return
	}
	for _, name := range f.names() {
		if d := f.devices[name]; !d.due.IsZero() && !now.Before(d.due) {
			f.start(now, name, VerbStatus, f.cfg.AttemptTimeout).monitor = true
			d.due = f.nextLook(now, name)
			return
		}
	}
}

// poweredOn takes the answer of a device that was told to give power back. The
// proof does not rest on it.
func (f *Fencer) poweredOn(now time.Time, run *attempt, o outcome, detail string) {
	i := slices.IndexFunc(f.power, func(j job) bool { return j.device == run.device })
	if i < 0 {
		return
	}
	j := &f.power[i]
	if o == done {
		f.report(PoweredOn, -1, run.device, Info, "%s gives power to %s again", run.device, f.peer)
		f.power = slices.Delete(f.power, i, i+1)
		return
	}
	j.tries++
	j.after = now.Add(rest(j.tries))
	if j.tries >= f.cfg.Attempts {
		f.report(Attempt, -1, run.device, Warning, "%s did not give power to %s again: %s", run.device, f.peer, because(detail))
		f.power = slices.Delete(f.power, i, i+1)
	}
}

// saw keeps what the end of an agent tells of its device.
func (f *Fencer) saw(now time.Time, run *attempt, o outcome, detail string) {
	d := f.devices[run.device]
	if d == nil {
		return
	}
	bad, text := o == failed, ""
	if bad {
		text = because(detail)
	}
	switch o {
	case reads:
		d.on = "on"
		if run.monitor && !d.lasting {
			d.distrust = ""
		}
		if run.monitor && f.offLevel >= 0 && slices.Contains(f.cfg.Levels[f.offLevel], run.device) {
			f.remember(now, Void, f.offLevel, "", run.device+" gives power to it again")
			f.offLevel = -1
		}
	case readsOff:
		d.on = "off"
		if run.monitor && f.alive(run.started) && f.alive(now) {
			d.distrust = "it read off while " + f.peer + " was heard: a wrong plug, wrong options, or a supply without power"
		}
	case failed, done:
		d.on = ""
	}
	if !bad && d.distrust != "" {
		bad, text = true, d.distrust
	}
	was := f.unprotected()
	if !d.known || d.bad != bad {
		d.since = now
		switch {
		case bad:
			f.report(DeviceBad, -1, run.device, Warning, "%s would not fence %s: %s", run.device, f.peer, text)
		case d.known:
			f.report(DeviceOK, -1, run.device, Notice, "%s answers again", run.device)
		}
	}
	d.known, d.bad, d.text = true, bad, text
	switch is := f.unprotected(); {
	case is && !was:
		f.report(Unprotected, -1, "", Critical, "%s cannot be fenced: every level has a device that does not work", f.peer)
	case was && !is:
		f.report(Protected, -1, "", Notice, "%s can be fenced again", f.peer)
	}
}

// lied takes it that the peer is heard although the devices of a level have just
// read off. They are not believed again until somebody has seen to them.
func (f *Fencer) lied(now time.Time, level int) {
	names := strings.Join(f.cfg.Levels[level], ", ")
	text := fmt.Sprintf("%s is heard although %s read off: a wrong plug, or a device that lies; it is not trusted until it is repaired, and vipd reloaded", f.peer, names)
	f.report(Lied, level, "", Critical, "%s", text)
	f.remember(now, Lied, level, "", text)
	for _, name := range f.cfg.Levels[level] {
		if d := f.devices[name]; d != nil {
			d.distrust, d.lasting = "it read off, and "+f.peer+" was heard", true
			d.known, d.bad, d.text, d.since = true, true, d.distrust, now
		}
	}
}

// lookAgain has the devices of a level read at once.
func (f *Fencer) lookAgain(now time.Time, level int) {
	for _, name := range f.cfg.Levels[level] {
		if d := f.devices[name]; d != nil {
			d.due = now
		}
	}
}

// distrusted returns a device of a level whose readings prove nothing, and why;
// "" = there is none.
func (f *Fencer) distrusted(level int) (name, why string) {
	for _, name := range f.cfg.Levels[level] {
		if d := f.devices[name]; d != nil && d.distrust != "" {
			return name, d.distrust
		}
	}
	return "", ""
}

// unprotected reports whether no level would do it, as far as is known. Levels
// that wait for an operator do not count; when there are no others, that is as
// it was configured.
func (f *Fencer) unprotected() bool {
	some := false
	for i, names := range f.cfg.Levels {
		if f.cfg.manual(i) {
			continue
		}
		some = true
		if !slices.ContainsFunc(names, func(name string) bool { return f.devices[name] != nil && f.devices[name].bad }) {
			return false
		}
	}
	return some
}

// names is the devices that are looked at, in the order of their levels.
func (f *Fencer) names() []string {
	var list []string
	for _, names := range f.cfg.Levels {
		for _, name := range names {
			if f.devices[name] != nil && !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	return list
}

// monitorDue is when the next device wants to be looked at, zero = never.
func (f *Fencer) monitorDue() time.Time {
	var due time.Time
	for _, name := range f.names() {
		if t := f.devices[name].due; !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	return due
}

func (f *Fencer) firstLook(now time.Time, name string) time.Time {
	if f.cfg.Monitor == 0 {
		return time.Time{}
	}
	return now.Add(share(min(firstSpread, f.cfg.Monitor), f.peer, name, 0))
}

// nextLook is up to a tenth earlier or later than the interval, so that many
// hosts do not ask one device at once for ever.
func (f *Fencer) nextLook(now time.Time, name string) time.Time {
	if f.cfg.Monitor == 0 {
		return time.Time{}
	}
	d := f.devices[name]
	d.runs++
	return now.Add(f.cfg.Monitor*9/10 + share(f.cfg.Monitor/5, f.peer, name, d.runs))
}

// share is a part of a time, another one for every peer, device and run. Nothing
// is drawn at random: what was recorded can be replayed.
func share(of time.Duration, peer, name string, run uint64) time.Duration {
	if of <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write(binary.LittleEndian.AppendUint64([]byte(peer+"\x00"+name+"\x00"), run)) // a hash takes any write
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	return time.Duration((x ^ x>>31) % uint64(of))
}
