package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/pair"
)

// Drift is a setting that should be equal on all hosts of a pair, and is not.
type Drift struct {
	Key    string `json:"key"` // as in the file: "vip.web.vrid"
	Ours   string `json:"ours,omitempty"`
	Theirs string `json:"theirs,omitempty"` // "" = not there
}

func (d Drift) String() string {
	word := func(s string) string {
		if s == "" {
			return "not set"
		}
		return s
	}
	return fmt.Sprintf("%s is %s here, %s there", d.Key, word(d.Ours), word(d.Theirs))
}

// zoneKey is told as well, and should not be equal.
const zoneKey = "node.zone"

// sharedConfig is what must be equal on all hosts, as an operator would write it.
func (e *Engine) sharedConfig() map[string]string {
	list := map[string]string{}
	for name, v := range e.cfg.VIPs {
		key := "vip." + name + "."
		list[key+"vrid"] = fmt.Sprint(v.VRID)
		list[key+"version"] = fmt.Sprint(v.Version)
		list[key+"advert_interval"] = v.Interval.String()
		list[key+"addresses"] = addressWords(v.Addresses)
		list[key+"vmac"] = fmt.Sprint(v.VMAC)
		list[key+"handover"] = map[bool]string{false: "overlap", true: "break"}[v.Break]
		list[key+"takeover"] = v.Takeover.String()
	}
	for _, w := range e.cfg.Witnesses {
		list["witness."+w.Name+".cluster"] = w.Cluster
		list["witness."+w.Name+".ttl"] = map[bool]string{true: "auto", false: w.TTL.String()}[w.TTL == 0]
	}
	for name, vips := range e.cfg.Groups {
		list["sync."+name+".vips"] = strings.Join(slices.Sorted(slices.Values(vips)), ", ")
	}
	return list
}

// addressWords lists addresses in an order of their own: it does not matter which
// one a file names first, but for the family of the election.
func addressWords(list []netip.Prefix) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = p.String()
	}
	slices.Sort(words[min(1, len(words)):])
	return strings.Join(words, ", ")
}

// compareConfig finds what differs, and reports what is new of it.
func (e *Engine) compareConfig(now time.Time, p *peer) {
	if p.config == nil {
		return
	}
	was := p.drift
	theirs := maps.Clone(p.config)
	delete(theirs, zoneKey)
	p.drift = differences(e.sharedConfig(), theirs)
	for _, d := range p.drift {
		if !slices.Contains(was, d) {
			e.report(now, Record{Type: RecordDrift, Name: p.name, Reason: d.Key, From: d.Ours, To: d.Theirs, Severity: Warning,
				Text: fmt.Sprintf("configuration differs from %s: %s", p.name, d)})
		}
	}
	if len(was) > 0 && len(p.drift) == 0 {
		e.report(now, Record{Type: RecordDrift, Name: p.name, Text: "configuration agrees with " + p.name + " again"})
	}
}

// differences lists what differs by key; a whole table that only one side has is
// one difference. What only another release compares is none: keys that one side does
// not tell of a table that both have, and kinds of tables that are not known here.
func differences(ours, theirs map[string]string) []Drift {
	tables := func(m map[string]string) map[string]bool {
		has := map[string]bool{}
		for key := range m {
			has[table(key)] = true
		}
		return has
	}
	here, there := tables(ours), tables(theirs)
	found := map[Drift]bool{}
	both := maps.Clone(ours)
	maps.Copy(both, theirs)
	for key := range both {
		switch t := table(key); {
		case !compared[kind(key)]:
		case !here[t]:
			found[Drift{Key: t, Theirs: "configured"}] = true
		case !there[t]:
			found[Drift{Key: t, Ours: "configured"}] = true
		default:
			own, mine := ours[key]
			told, its := theirs[key]
			if mine && its && pair.Told(own) != told { // long values are told cut
				found[Drift{key, own, told}] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b Drift) int { return strings.Compare(a.Key, b.Key) })
}

// compared are the kinds of tables that are compared; all keys of each are always told.
var compared = map[string]bool{"vip": true, "witness": true, "sync": true}

// kind returns the kind of table of a key: that of "vip.web.vrid" is "vip".
func kind(key string) string {
	word, _, _ := strings.Cut(key, ".")
	return word
}

// table returns the table of a key: that of "vip.web.vrid" is "vip.web".
func table(key string) string {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i]
	}
	return key
}
