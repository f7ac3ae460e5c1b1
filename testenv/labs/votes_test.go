package labs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vipd/vipd/testenv"
)

// voted is a pair that votes with a witness, of which lb1 holds the VIP, and a
// client that watches.
type voted struct {
	*pair
	*watch
	lb1, lb2 *agent
	interval time.Duration // of adverts
	rack3    *testenv.Host
	witness  *testenv.Process
}

// newVoted starts one. What is more in the configuration of the VIP is the same on
// both hosts.
func newVoted(t *testing.T, interval time.Duration, more string) *voted {
	t.Helper()
	v := &voted{pair: newPair(t), interval: interval}
	v.rack3 = v.host("rack3", "192.0.2.7/24")
	v.startWitness()
	more = "takeover = \"votes\"\n" + more
	v.lb1 = v.vipd(v.hosts[0], v.config(0)+web(150, interval, more))
	v.lb1.waitState("web", "ACTIVE")
	v.lb2 = v.vipd(v.hosts[1], v.config(1)+web(100, interval, more))
	v.lb2.waitState("web", "BACKUP")
	v.lb2.hears("lb1")
	v.lb1.eventually(20*time.Second, "three votes", func() bool {
		return strings.Contains(v.lb1.must("why", "web"), "3 of 3 votes")
	})
	v.watch = v.watched()
	return v
}

// config of a host, but for the VIP.
func (v *voted) config(i int) string {
	return v.talking(i) + fmt.Sprintf("[witness.rack3]\naddress = \"192.0.2.7\"\nkey_file = %q\n", v.key(v.hosts[i]))
}

// key of the witness, as a file of a host.
func (v *voted) key(h *testenv.Host) string {
	v.t.Helper()
	path := filepath.Join(h.Dir(), "witness-key")
	if err := os.WriteFile(path, []byte(strings.Repeat("w", 32)), 0o600); err != nil {
		v.t.Fatal(err)
	}
	return path
}

func (v *voted) startWitness() {
	v.t.Helper()
	var err error
	v.witness, err = v.rack3.Start(exec.Command(binary, "witness", "--name", "rack3", "--key-file", v.key(v.rack3), "--max-ttl", "5s"))
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *voted) killWitness() {
	v.t.Helper()
	if err := v.witness.Signal(syscall.SIGKILL); err != nil {
		v.t.Fatal(err)
	}
	<-v.witness.Done()
}

// refused waits until lb2 says that it gets no majority.
func (v *voted) refused() {
	v.t.Helper()
	v.lb2.eventually(10*time.Second, "to be refused", func() bool {
		return strings.Contains(v.lb2.must("events", "--type", "votes", "--json"), `"to":"refused"`)
	})
}

func (v *voted) heal() {
	v.t.Helper()
	if err := v.lab.Heal(); err != nil {
		v.t.Fatal(err)
	}
}

// TestVotesTakeover: lb1 is gone, whatever made it so, and lb2 has two votes.
func TestVotesTakeover(t *testing.T) {
	for name, fault := range map[string]func(*voted){
		"host dead": func(v *voted) {
			if err := v.lab.PortDown(v.hosts[0]); err != nil {
				v.t.Fatal(err)
			}
			v.lb1.kill()
		},
		"host isolated": func(v *voted) {
			if err := v.lab.Cut(v.hosts[0]); err != nil {
				v.t.Fatal(err)
			}
		},
		"daemon dead":    func(v *voted) { v.lb1.kill() },
		"daemon stopped": func(v *voted) { v.lb1.signal(syscall.SIGSTOP) },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVoted(t, brisk, "preempt = false")
			fault(v)
			v.lb2.waitState("web", "ACTIVE")
			v.answeredBy(v.probes, "lb2")
			if out := v.lb2.must("why", "web"); !strings.Contains(out, "votes of lb2, rack3") {
				t.Errorf("why does not tell whose votes:\n%s", out)
			}
			switch name {
			case "host isolated":
				v.lb1.eventually(10*time.Second, "to have given it up", func() bool { return v.lb1.vip("web").State != "ACTIVE" && !v.hosts[0].Holds(vip4) })
				v.heal()
				v.lb1.hears("lb2")
			case "daemon stopped":
				v.lb1.signal(syscall.SIGCONT)
				v.lb1.waitState("web", "BACKUP")
			}
			v.oneAtMost()
		})
	}
}

// TestVotesCut: the link between the hosts is cut, both reach the clients and the
// witness, and nothing happens.
func TestVotesCut(t *testing.T) {
	for name, oneWay := range map[string]bool{"both ways": false, "one way": true} {
		t.Run(name, func(t *testing.T) {
			v := newVoted(t, calm, "")
			mark := time.Now()
			v.apart(oneWay)
			v.refused()
			v.lb2.eventually(10*time.Second, "to tell who has the votes", func() bool {
				return strings.Contains(v.lb2.must("why", "web"), "rack3: promised to lb1")
			})
			v.answeredBy(v.probes, "lb1")
			v.heal()
			v.lb2.hears("lb1")
			if s := v.lb1.vip("web"); s.State != "ACTIVE" || !s.Held {
				t.Errorf("lb1 is %s, held %v", s.State, s.Held)
			}
			r := v.oneAtMost().Since(mark)
			if n := r.ByHost["lb2"]; n > 0 {
				t.Errorf("lb2 answered %d probes", n)
			}
		})
	}
}

// TestVotesWitnessDead: without the witness the hosts vote for each other; when their
// link is cut as well nobody has two votes, and lb1 lets go until the witness is back.
func TestVotesWitnessDead(t *testing.T) {
	v := newVoted(t, brisk, "")
	v.killWitness()
	v.lb1.eventually(10*time.Second, "to have two votes", func() bool {
		return strings.Contains(v.lb1.must("why", "web"), "2 of 3 votes")
	})
	v.lb1.must("failover", "web")
	v.lb2.waitState("web", "ACTIVE")
	v.lb1.waitState("web", "BACKUP")
	v.lb2.must("failover", "web")
	v.lb1.waitState("web", "ACTIVE")
	v.answeredBy(v.probes, "lb1")
	v.apart(false)
	v.lb1.eventually(10*time.Second, "to give it up", func() bool {
		return strings.Contains(v.lb1.must("events", "--type", "votes", "--json"), `"to":"lost"`) && !v.hosts[0].Holds(vip4)
	})
	v.lb2.eventually(10*time.Second, "to have no majority either", func() bool {
		return strings.Contains(v.lb2.must("why", "web"), "rack3") && v.lb2.vip("web").State == "BACKUP"
	})
	v.lb1.eventually(10*time.Second, "to say so loudly", func() bool {
		code, out, _ := v.lb1.run("health")
		return code == 2 && strings.Contains(out, "waits for votes")
	})
	v.startWitness()
	v.lb1.eventually(20*time.Second, "one of them to hold it", func() bool {
		return v.hosts[0].Holds(vip4) != v.hosts[1].Holds(vip4)
	})
	v.neverTwo()
}

// TestVotesHold: with no_majority = "hold" lb1 goes on without witness and peer, loudly.
func TestVotesHold(t *testing.T) {
	v := newVoted(t, calm, `no_majority = "hold"`)
	v.killWitness()
	v.apart(false)
	v.lb1.eventually(20*time.Second, "to go on without a majority", func() bool {
		return strings.Contains(v.lb1.must("events", "--type", "votes", "--json"), `"to":"without"`)
	})
	if out := v.lb1.must("status"); !strings.Contains(out, "is held without a majority") {
		t.Errorf("status does not say so:\n%s", out)
	}
	v.answeredBy(v.probes, "lb1")
	v.heal()
	v.lb1.eventually(20*time.Second, "to have a majority again", func() bool {
		return strings.Contains(v.lb1.must("why", "web"), "2 of 3 votes")
	})
	if r := v.oneAtMost(); r.ByHost["lb2"] > 0 {
		t.Errorf("lb2 answered %d probes", r.ByHost["lb2"])
	}
}

// TestVotesBoot: both hosts start at once, and do not hear each other.
func TestVotesBoot(t *testing.T) {
	v := newVoted(t, brisk, "")
	v.lb1.kill()
	v.lb2.kill()
	v.apart(false)
	v.lb1.start()
	v.lb2.start()
	v.lb1.eventually(20*time.Second, "one of them to hold it", func() bool {
		return (v.lb1.vip("web").State == "ACTIVE") != (v.lb2.vip("web").State == "ACTIVE")
	})
	v.refusedAny()
	v.neverTwo()
}

// refusedAny waits until one of the hosts says that it gets no majority.
func (v *voted) refusedAny() {
	v.t.Helper()
	v.lb2.eventually(20*time.Second, "one of them to be refused", func() bool {
		return strings.Contains(v.lb1.must("events", "--type", "votes", "--json")+v.lb2.must("events", "--type", "votes", "--json"), `"to":"refused"`)
	})
}

// TestVotesPlanned: drain, failover and stop move it without waiting for a promise to
// end.
func TestVotesPlanned(t *testing.T) {
	v := newVoted(t, brisk, "")
	v.lb1.must("drain", "--wait", "web")
	v.lb2.waitState("web", "ACTIVE")
	v.lb1.must("undrain", "web")
	v.lb1.waitState("web", "ACTIVE")
	v.answeredBy(v.probes, "lb1")
	v.lb1.must("failover", "web")
	v.lb2.waitState("web", "ACTIVE")
	v.lb2.stop()
	v.lb1.waitState("web", "ACTIVE")
	v.answeredBy(v.probes, "lb1")
	v.neverTwo()
	t.Log(v.probes.Stop())
}
