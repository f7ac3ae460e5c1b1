package labs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// TestMixedGrown: a host and one of a release that has more to say, on either side: they
// hear each other, refuse nothing, find no difference, and planned moves lose nothing.
func TestMixedGrown(t *testing.T) {
	grown := releaseOf(t, "grown")
	for name, programs := range map[string][2]string{"Active newer": {grown, ""}, "Backup newer": {"", grown}} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			lb1 := p.runs(programs[0], p.hosts[0], p.talking(0)+web(150, 100*time.Millisecond, ""))
			lb2 := p.runs(programs[1], p.hosts[1], p.talking(1)+web(100, 100*time.Millisecond, ""))
			lb1.waitState("web", "ACTIVE")
			lb2.waitState("web", "BACKUP")
			for _, a := range []*agent{lb1, lb2} {
				a.hears(map[*agent]string{lb1: "lb2", lb2: "lb1"}[a])
				a.compares()
				a.expect(0, "same config", "status")
				if n := a.metric(`vipd_pair_messages_refused_total{cause="malformed"}`) + a.metric(`vipd_pair_messages_refused_total{cause="type"}`) + a.metric(`vipd_pair_messages_refused_total{cause="version"}`); n > 0 {
					t.Errorf("%s refused %v messages", a.host.Name, n)
				}
			}
			probes := p.probe()
			mark := time.Now()
			for _, from := range []*agent{lb1, lb2} {
				to := map[*agent]*agent{lb1: lb2, lb2: lb1}[from]
				from.must("failover", "web")
				to.waitState("web", "ACTIVE")
				from.waitState("web", "BACKUP")
			}
			if d := lb1.drill(0, "web"); !d.Passed {
				t.Errorf("%+v", d)
			}
			p.lossless(probes, "moves", mark, time.Now(), lb1, lb2)
			lb1.kill()
			p.answeredBy(probes, "lb2")
			lb2.waitState("web", "ACTIVE")
			t.Log(probes.Stop())
		})
	}
}

// TestMixedVotes: hosts of two releases and a witness of one of them vote.
func TestMixedVotes(t *testing.T) {
	grown := releaseOf(t, "grown")
	v := newVoted(t, brisk, "preempt = false")
	v.lb2.stop()
	v.lb2.program = grown
	v.lb2.start()
	v.lb2.waitState("web", "BACKUP")
	v.lb2.hears("lb1")
	v.lb1.kill()
	v.lb2.waitState("web", "ACTIVE")
	v.answeredBy(v.probes, "lb2")
	v.oneAtMost()
}

// TestMixedWitness: a witness of another channel version is as one that is not there. The
// hosts vote for each other, and when one of them is gone nobody has a majority.
func TestMixedWitness(t *testing.T) {
	other := releaseOf(t, "channel")
	v := newVoted(t, calm, "preempt = false")
	v.killWitness()
	var err error
	v.witness, err = v.rack3.Start(exec.Command(other, "witness", "--name", "rack3", "--key-file", v.key(v.rack3), "--max-ttl", "5s"))
	if err != nil {
		t.Fatal(err)
	}
	v.lb1.eventually(20*time.Second, "to have two votes", func() bool { return strings.Contains(v.lb1.must("why", "web"), "2 of 3 votes") })
	v.answeredBy(v.probes, "lb1")
	v.lb1.kill()
	v.lb2.eventually(20*time.Second, "to have no majority", func() bool {
		return strings.Contains(v.lb2.must("events", "--type", "votes", "--json"), `"to":"refused"`)
	})
	if s := v.lb2.vip("web"); s.State != "BACKUP" || s.Held {
		t.Errorf("lb2 is %s, held %t", s.State, s.Held)
	}
	v.killWitness()
	v.startWitness()
	v.lb2.waitState("web", "ACTIVE")
	v.answeredBy(v.probes, "lb2")
	v.oneAtMost()
}

// TestMixedChannel: a peer that speaks another version of the channel is not heard on it,
// which everybody says, and the election goes on by adverts alone: failures and planned
// moves are survived, in both directions, and nothing is answered by two hosts. With one
// release everywhere they hear each other again.
func TestMixedChannel(t *testing.T) {
	other := releaseOf(t, "channel")
	p := newPair(t)
	const interval = 100 * time.Millisecond
	lb1 := p.vipd(p.hosts[0], p.talking(0)+web(150, interval, "preempt = false"))
	lb1.waitState("web", "ACTIVE")
	lb2 := p.runs(other, p.hosts[1], p.talking(1)+web(100, interval, "preempt = false"))
	lb2.waitState("web", "BACKUP")
	for a, version := range map[*agent]string{lb1: "2", lb2: "1"} {
		peer := map[*agent]string{lb1: "lb2", lb2: "lb1"}[a]
		a.eventually(5*time.Second, "to say which version the peer speaks", func() bool {
			return strings.Contains(a.must("status"), "SPEAKS VERSION "+version)
		})
		a.expect(0, peer+" speaks version "+version+" of the pair channel", "why", "web")
		a.expect(0, "peer "+peer+" speaks version "+version+" of the pair channel", "events", "--type", "peer")
		if n := a.metric(`vipd_pair_messages_refused_total{cause="version"}`); n == 0 {
			t.Errorf("%s counts no message of another version", a.host.Name)
		}
	}
	lb1.expect(6, "lb2 speaks another version of the pair channel", "drill", "web")
	w := p.watched()
	for _, step := range []struct {
		what     string
		do       func()
		holder   string
		most     time.Duration // gap
		one, two string        // states
	}{
		{"failover", func() { lb1.must("failover", "web") }, "lb2", 400 * time.Millisecond, "BACKUP", "ACTIVE"},
		{"failover back", func() { lb2.must("failover", "web") }, "lb1", 400 * time.Millisecond, "ACTIVE", "BACKUP"},
		{"stop", func() { lb1.stop() }, "lb2", 400 * time.Millisecond, "", "ACTIVE"},
		{"start", func() { lb1.start() }, "lb2", 100 * time.Millisecond, "BACKUP", "ACTIVE"},
		{"kill", func() { lb2.kill() }, "lb1", 700 * time.Millisecond, "ACTIVE", ""},
		{"start after that", func() { lb2.start() }, "lb1", 100 * time.Millisecond, "ACTIVE", "BACKUP"},
		{"kill on this side", func() { lb1.kill() }, "lb2", 700 * time.Millisecond, "", "ACTIVE"},
		{"start of that", func() { lb1.start() }, "lb2", 100 * time.Millisecond, "BACKUP", "ACTIVE"},
		{"stop for the same release", func() { lb2.stop() }, "lb1", 400 * time.Millisecond, "ACTIVE", ""},
		{"same release", func() { lb2.program = ""; lb2.start() }, "lb1", 100 * time.Millisecond, "ACTIVE", "BACKUP"},
	} {
		mark := time.Now()
		step.do()
		for a, state := range map[*agent]string{lb1: step.one, lb2: step.two} {
			if state != "" {
				a.waitState("web", state)
			}
		}
		p.answeredBy(w.probes, step.holder)
		p.gap(w.probes, step.what, mark, step.most, lb1, lb2)
	}
	lb1.hears("lb2")
	lb2.hears("lb1")
	if out := lb1.must("status"); strings.Contains(out, "SPEAKS VERSION") {
		t.Errorf("lb1 still says:\n%s", out)
	}
	w.neverTwo()
	mark := time.Now()
	lb1.must("failover", "web")
	lb2.waitState("web", "ACTIVE")
	p.lossless(w.probes, "failover of one release", mark, time.Now(), lb1, lb2)
}

// TestMixedChannelFenced: where takeovers wait for a fence, and the hosts speak two
// versions of the channel, nobody has the other one's word, not even a last one: who ends
// politely is cut off as one that falls silent. docs/operations.md tells what to do.
func TestMixedChannelFenced(t *testing.T) {
	other := releaseOf(t, "channel")
	for name, end := range map[string]func(*agent){
		"killed": (*agent).kill, "stopped": (*agent).stop, "drained": func(a *agent) { a.must("drain", "--wait") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFenced(t, brisk, false, testenv.FenceWorks, testenv.FenceWorks)
			f.lb2.stop()
			f.lb2.program = other
			f.lb2.start()
			f.lb2.waitState("web", "BACKUP")
			f.lb2.eventually(5*time.Second, "to say which version lb1 speaks", func() bool { return strings.Contains(f.lb2.must("status"), "SPEAKS VERSION 1") })
			f.lb2.follows("web") // who never heard lb1, not even its adverts, fences nobody
			end(f.lb1)
			f.takenOver()
			f.oneAtMost()
			f.shots(1, 0)
		})
	}
}

// gap demands that since a time no probes were lost for longer than that, unless the
// machine did not run one of the agents meanwhile.
func (p *pair) gap(probes *testenv.Prober, what string, since time.Time, most time.Duration, agents ...*agent) {
	p.t.Helper()
	to := time.Now()
	testenv.Eventually(p.t, 5*time.Second, "the last probes to be answered", func() bool { return probes.Report().Between(since, to).Pending == 0 })
	r := probes.Report().Between(since, to)
	p.t.Logf("%s:", what)
	for _, a := range agents {
		if a.over() {
			continue
		}
		for _, e := range a.events("lease") {
			if e.Reason == "late-wake" && !e.Time.Before(since) {
				p.t.Logf("%s: the machine did not run %s: %s", what, a.host.Name, e.Text)
				return
			}
		}
	}
	if r.Answered == 0 {
		p.t.Errorf("%s: no answers", what)
	}
	p.shortGaps(most, r)
}

// TestRollingUpgrade: the Backup first, then the Active, forth and back: no probe is lost.
// In place no role changes, with a drain before it there are planned moves.
func TestRollingUpgrade(t *testing.T) {
	grown := releaseOf(t, "grown")
	t.Run("in place", func(t *testing.T) {
		p := newPair(t)
		lb1 := p.vipd(p.hosts[0], keeping+p.talking(0)+web(150, 100*time.Millisecond, ""))
		lb2 := p.vipd(p.hosts[1], keeping+p.talking(1)+web(100, 100*time.Millisecond, ""))
		lb1.waitState("web", "ACTIVE")
		lb2.waitState("web", "BACKUP")
		lb1.hears("lb2")
		p.listen()
		probes := p.probe()
		gone := watchRemovals(t, lb1.host, vip4)
		for done, next := 0, grown; done < 2; {
			for _, a := range []*agent{lb2, lb1} { // what was too slow is made again, from the other side
				mark, before := time.Now(), gone.Load()
				a.program = next
				a.upgrade()
				lb1.waitState("web", "ACTIVE")
				lb2.waitState("web", "BACKUP")
				lb1.hears("lb2")
				lb2.hears("lb1")
				passes(t, 300*time.Millisecond)
				if a == lb1 && a.tooSlow(mark) {
					continue
				}
				p.lossless(probes, "restart of "+a.host.Name, mark, time.Now(), lb1, lb2)
				if moves := append(lb1.moves(mark), lb2.moves(mark)...); a == lb1 && len(moves) > 0 || gone.Load() > before {
					t.Errorf("roles changed: %v; the address left the kernel %d times", moves, gone.Load()-before)
				}
				if a == lb1 {
					done++
				}
			}
			next = map[string]string{grown: "", "": grown}[next]
		}
	})
	t.Run("drained", func(t *testing.T) {
		p, lb1, lb2 := talkers(t, "")
		p.listen()
		probes := p.probe()
		for _, next := range []string{grown, ""} {
			mark := time.Now()
			for _, a := range []*agent{lb2, lb1} {
				a.must("drain", "--wait")
				a.stop()
				a.program = next
				a.start()
				a.waitState("web", "INIT")
				a.hears(map[*agent]string{lb1: "lb2", lb2: "lb1"}[a])
				a.must("undrain")
				lb1.waitState("web", "ACTIVE")
				lb2.waitState("web", "BACKUP")
			}
			p.lossless(probes, "both hosts", mark, time.Now(), lb1, lb2)
		}
	})
}

// TestOtherFormat: a restart in place into a release that does not know what the one
// before has left, or whose packet filter is another one, is a clean start: one holder,
// without a gap that is longer than that of a crash, and an event says why.
func TestOtherFormat(t *testing.T) {
	const interval = 100 * time.Millisecond
	for _, kind := range []string{"files", "rules"} {
		program := releaseOf(t, kind)
		for _, talks := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, pair %t", kind, talks), func(t *testing.T) {
				p := newPair(t)
				var agents []*agent
				for i, h := range p.hosts {
					talk := ""
					if talks {
						talk = p.talking(i)
					}
					agents = append(agents, p.vipd(h, keeping+talk+web(150-50*i, interval, "preempt = false")))
					agents[0].waitState("web", "ACTIVE")
				}
				agents[0].waitState("web", "ACTIVE")
				agents[1].waitState("web", "BACKUP")
				w := p.watched()
				for range 3 { // of whoever holds it: upgrades, or ways back
					holder := agents[0]
					if agents[1].vip("web").State == "ACTIVE" {
						holder = agents[1]
					}
					mark := time.Now()
					holder.program = map[string]string{"": program, program: ""}[holder.program]
					holder.upgrade()
					holder.eventually(5*time.Second, "one host to hold it", func() bool {
						one, two := agents[0].vip("web"), agents[1].vip("web")
						return one.State == "ACTIVE" && one.Held && two.State == "BACKUP" || two.State == "ACTIVE" && two.Held && one.State == "BACKUP"
					})
					passes(t, 2*interval)
					lost := holder.resumed("lost")
					if n := len(lost); n == 0 || lost[n-1].Time.Before(mark) || !strings.Contains(lost[n-1].Text, "what the last run held does not go on: ") {
						t.Errorf("events %+v", lost)
					}
					p.gap(w.probes, "restart of "+holder.host.Name, mark, 600*time.Millisecond, agents...)
				}
				w.neverTwo()
			})
		}
	}
}

// TestDrainsOfOtherRelease: drains that a downgrade cannot read are lost, which it says,
// and are not found again by the next upgrade.
func TestDrainsOfOtherRelease(t *testing.T) {
	other := releaseOf(t, "files")
	p := newPair(t)
	lb1 := p.runs(other, p.hosts[0], web(150, 100*time.Millisecond, ""))
	lb1.waitState("web", "ACTIVE")
	lb1.must("drain", "--wait")
	lb1.stop()
	lb1.program = ""
	lb1.start()
	lb1.waitState("web", "ACTIVE")
	lb1.expect(0, "drains of the last run are lost: ", "events", "--type", "resume")
	if _, err := os.Stat(filepath.Join(lb1.host.Dir(), "drains.json.unread")); err != nil {
		t.Error(err)
	}
	lb1.stop()
	lb1.program = other
	lb1.start()
	lb1.waitState("web", "ACTIVE")
}

// TestOtherControl: a program and a daemon of two releases understand each other, or say
// that they do not.
func TestOtherControl(t *testing.T) {
	grown, other := releaseOf(t, "grown"), releaseOf(t, "control")
	for name, c := range map[string]struct {
		daemon, program string
		known           bool
	}{
		"newer program":           {"", grown, true},
		"newer daemon":            {grown, binary, true},
		"program of other schema": {"", other, false},
		"daemon of other schema":  {other, binary, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			a := p.runs(c.daemon, p.hosts[0], web(150, 100*time.Millisecond, ""))
			a.waitState("web", "ACTIVE")
			for _, ask := range []struct {
				args  []string
				words string // when the schema is known, or is as it was
				other string // when it is not; "" = as it was
			}{
				{[]string{"status"}, "ACTIVE", "which this program does not know"},
				{[]string{"status", "--json"}, `"state":"ACTIVE"`, ""},
				{[]string{"why", "web"}, "web is ACTIVE", "which this program does not know"},
				{[]string{"why", "web", "--json"}, `"headline":"web is ACTIVE`, ""},
				{[]string{"events"}, "INIT -> BACKUP", ""},
				{[]string{"check", "list"}, "", ""},
				{[]string{"drill", "web"}, "no [pair] is configured", "no such path: /v1/vips/web/"},
			} {
				code, out, errs := a.asked(c.program, ask.args...)
				words := ask.words
				if !c.known && ask.other != "" {
					words = ask.other
					if code == 0 || !strings.Contains(errs, "two releases") {
						t.Errorf("%v: exit %d, no hint: %s", ask.args, code, errs)
					}
				}
				if !strings.Contains(out+errs, words) {
					t.Errorf("%v: exit %d, not %q in\n%s%s", ask.args, code, words, out, errs)
				}
			}
		})
	}
}
