package control

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vipd/vipd/pkg/engine"
)

// The roles of a peer, as in engine.PeerVIPStatus.
const (
	roleActive  = "active"
	roleStandby = "standby"
)

// peerVIP is what a peer says of a VIP; false when it does not know it.
func peerVIP(p engine.PeerStatus, name string) (engine.PeerVIPStatus, bool) {
	i := slices.IndexFunc(p.VIPs, func(v engine.PeerVIPStatus) bool { return v.Name == name })
	if i < 0 {
		return engine.PeerVIPStatus{}, false
	}
	return p.VIPs[i], true
}

// ReadyPeers counts the other hosts that are heard and could take a VIP at once.
func ReadyPeers(s engine.Status, vip string) (ready int) {
	if s.Pair == nil {
		return 0
	}
	for _, p := range s.Pair.Peers {
		if v, told := peerVIP(p, vip); p.Heard && told && v.Role == roleStandby && v.Eligible {
			ready++
		}
	}
	return ready
}

// StandbyNews says that no other host could take a VIP that is held here, although
// one is heard; "" when one could.
func StandbyNews(s engine.Status, v engine.VIPStatus) string {
	if s.Pair == nil || v.State != engine.Active || v.Handover != nil || ReadyPeers(s, v.Name) > 0 {
		return ""
	}
	if !slices.ContainsFunc(s.Pair.Peers, func(p engine.PeerStatus) bool { return p.Heard }) {
		return "" // that nobody is heard is worse
	}
	return "no other host could take it: " + v.Standby
}

// PathWords lists the paths on which a peer is heard, and those on which it is not.
func PathWords(p engine.PeerStatus) (heard, silent []string) {
	for _, a := range p.Paths {
		if a.Heard {
			heard = append(heard, a.Address.String())
		} else {
			silent = append(silent, a.Address.String())
		}
	}
	return heard, silent
}

// whyPair says what the other hosts say of themselves.
func whyPair(e *Explanation, s engine.Status, v engine.VIPStatus) {
	if s.Pair == nil {
		return
	}
	if !s.Pair.Open {
		e.because("The pair channel is not open%s: other hosts are known by their adverts only.", colon(s.Pair.Err))
		return
	}
	if h := v.Handover; h != nil {
		e.because("It is being handed to %s, in %s at most: both hosts hold it for a moment, so that nothing is lost.", h.To, Age(h.Until.Sub(s.Now)))
	}
	for _, p := range s.Pair.Peers {
		e.because("%s.", peerWords(s, p, v))
	}
	if v.Disbelieved > 0 {
		e.because("Not believed: %s that say what no host of the pair says of itself.", count(int(v.Disbelieved), "advert"))
	}
}

// peerWords is how a peer stands to a VIP, by its own word.
func peerWords(s engine.Status, p engine.PeerStatus, v engine.VIPStatus) string {
	if !p.Heard {
		if p.Channel != 0 {
			return fmt.Sprintf("%s speaks version %d of the pair channel, and this host another one: it is known by its adverts only, until both run one release", p.Name, p.Channel)
		}
		if p.Last.IsZero() {
			return p.Name + " has never been heard on the pair channel"
		}
		return fmt.Sprintf("%s has been silent on the pair channel for %s", p.Name, Age(s.Now.Sub(p.Last)))
	}
	heard, silent := PathWords(p)
	where := fmt.Sprintf("heard %s ago on %s", Age(s.Now.Sub(p.Last)), strings.Join(heard, ", "))
	if len(silent) > 0 {
		where += ", not on " + strings.Join(silent, ", ")
	}
	switch r, told := peerVIP(p, v.Name); {
	case !told:
		return fmt.Sprintf("%s says that it has no such vip (%s)", p.Name, where)
	case r.Role == roleActive && r.Held:
		return fmt.Sprintf("%s says that it is Active with priority %d and holds it (%s)", p.Name, r.Priority, where)
	case r.Role == roleActive:
		return fmt.Sprintf("%s says that it is Active with priority %d and does not hold it yet (%s)", p.Name, r.Priority, where)
	case !r.Eligible:
		return fmt.Sprintf("%s says that it could not take it: %s (%s)", p.Name, bare(r.Blocker), where)
	default:
		return fmt.Sprintf("%s says that it is ready to take it with priority %d (%s)", p.Name, r.Priority, where)
	}
}
