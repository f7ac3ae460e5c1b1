package engine_test

import (
	"fmt"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/sim"
	"github.com/vipd/vipd/pkg/vote"
)

// runVotes carries out a command about votes, or drills.
func (s *scenario) runVotes(f []string, h *sim.Host) {
	s.t.Helper()
	switch f[0] {
	case "votes": // votes lb1 web
		v, ok := h.VIP(f[2])
		if !ok || v.Votes == nil {
			s.t.Fatalf("no votes: %q", f)
		}
		fmt.Fprintf(&s.out, "votes on %s as %s has them: %s, %d of %d, needs %d, epoch %d\n",
			f[2], f[1], v.Votes.Stage, v.Votes.Have, len(v.Votes.Votes), v.Votes.Need, v.Votes.Epoch)
		for _, o := range v.Votes.Votes {
			fmt.Fprintf(&s.out, "  %s: counts %t, owner %q, why %q, fenced %t\n", o.Voter, o.Counts, o.Owner, o.Why, o.Fenced)
		}
	case "drill": // drill lb1 web check: or stop, link; stay
		h.Do(engine.Drill{Name: f[2], Kind: engine.DrillKind(f[3]), Stay: len(f) > 4, Actor: anna})
	case "deaf": // deaf lb2 yes: its services answer no client
		h.SetDeaf(f[2] == "yes")
	default:
		s.t.Fatalf("unknown command %q", f[0])
	}
}

// runWitness ends the witness, or starts it anew.
func (s *scenario) runWitness(how string) {
	if s.witness.Kill(); how == "starts" {
		s.witness.Restart()
	}
}

// voting lets the hosts hold by a majority of their votes and that of a witness.
func (s *scenario) voting(cfg *engine.Config, takeover string) {
	if takeover != "votes" && takeover != "hold" {
		return
	}
	if s.witness == nil {
		s.witness = s.w.AddWitness("rack3", time.Second)
	}
	cfg.Witnesses = []vote.Witness{{Name: "rack3"}}
}
