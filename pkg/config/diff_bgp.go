package config

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
)

// describeBGP adds what is said about BGP, if anything is.
func describeBGP(m map[string]settings, c *Config) {
	s := c.Engine.BGP
	if s == nil {
		return
	}
	m["bgp"] = settings{
		"local_as":              {fmt.Sprint(s.LocalAS)},
		"router_id":             {s.RouterID.String()},
		"listen_port":           {strconv.Itoa(s.ListenPort)},
		"drain.wait":            {words(c.Engine.DrainWait)},
		"graceful_restart.time": positive(int64(s.GracefulRestart), words(s.GracefulRestart)),
	}
	if b := c.Engine.Budget; b.Max > 0 {
		m["bgp"]["withdraw_budget"] = values{fmt.Sprintf("%d per %s", b.Max, words(b.Per))}
	}
	for name, n := range s.Neighbors {
		m["bgp.neighbor."+name] = describeNeighbor(n, s.LocalAS, c.Passwords[name])
	}
}

// describeNeighbor says that a password changed, and not what it is.
func describeNeighbor(n bgp.Neighbor, localAS uint32, password Secret) settings {
	s := settings{
		"address":       oneAddress(n.Address),
		"interface":     optional(n.Interface),
		"remote_as":     {fmt.Sprint(n.RemoteAS)},
		"source":        oneAddress(n.Source),
		"passive":       {strconv.FormatBool(n.Passive)},
		"hold_time":     {words(n.HoldTime)},
		"keepalive":     {words(n.Keepalive)},
		"connect_retry": {words(n.ConnectRetry)},
		"password":      secretly(password),
		"ttl_security":  positive(int64(n.TTLSecurity), strconv.Itoa(n.TTLSecurity)),
		"multihop":      positive(int64(n.Multihop), strconv.Itoa(n.Multihop)),
		"max_prefixes":  positive(int64(n.MaxPrefixes), fmt.Sprint(n.MaxPrefixes)),
	}
	switch n.RemoteAS {
	case externalAS:
		s["remote_as"] = values{"external"}
	case localAS:
		s["remote_as"] = values{"internal"}
	}
	for _, f := range n.Families {
		s["families"] = append(s["families"], string(f))
	}
	if n.BFD != nil {
		s["bfd"] = values{fmt.Sprintf("%s sent, %s received, times %d", words(n.BFD.Transmit), words(n.BFD.Receive), n.BFD.Multiplier)}
	}
	return s
}

func describeService(v engine.Service) settings {
	s := settings{
		"prefixes":          each(v.Prefixes),
		"device":            optional(v.Device),
		"neighbors":         v.Neighbors,
		"med":               {fmt.Sprint(v.MED)},
		"local_pref":        {fmt.Sprint(v.LocalPref)},
		"as_path_prepend":   {strconv.Itoa(v.Prepend)},
		"communities":       each(v.Communities),
		"large_communities": each(v.Large),
		"rise_delay":        {words(v.RiseDelay)},
		"follow_vip":        optional(v.FollowVIP),
		"min_announcers":    positive(int64(v.MinAnnouncers), strconv.Itoa(v.MinAnnouncers)),
	}
	for _, name := range names(v.Track) {
		s["track"] = append(s["track"], name+" = "+medWord(v.Track[name]))
	}
	return s
}

// medWord is what a failing check does to a route, as it is written.
func medWord(w check.Weight) string {
	if w.Fault {
		return "withdraw"
	}
	return strconv.Itoa(-w.Delta)
}

// positive is the text of a number that is 0 when it is not set.
func positive(n int64, text string) values {
	if n == 0 {
		return nil
	}
	return values{text}
}

func oneAddress(a netip.Addr) values {
	if !a.IsValid() {
		return nil
	}
	return values{a.String()}
}

// newPasswords lists the neighbors whose password is another one, and the pair
// channel when its key is.
func newPasswords(from, to *Config) []string {
	var lines []string
	if was := from.Pair.Key; was != "" && to.Pair.Key != "" && was != to.Pair.Key {
		lines = append(lines, "pair: another key")
	}
	for _, name := range names(to.Passwords) {
		if was := from.Passwords[name]; was != "" && was != to.Passwords[name] {
			lines = append(lines, "bgp.neighbor."+name+": another password")
		}
	}
	return lines
}

// secretly stands for a secret.
func secretly(s Secret) values {
	if s == "" {
		return nil
	}
	return values{s.String()}
}
