package config

import (
	"fmt"

	"github.com/vipd/vipd/pkg/check"
)

// maxWeight is the largest change that can matter to a priority of 1–254.
const maxWeight = 253

// weight is what a failing check or a link that is down does; its value is a
// check.Weight.
type weight struct{}

func (weight) allowed() string { return `"fault", or -253–253 without 0` }

func (k weight) parse(r *reporter, n *node) (any, bool) {
	switch v := n.value.(type) {
	case string:
		if v == "fault" {
			return check.Weight{Fault: true}, true
		}
		r.wrong(n, n.raw()+" is not a weight", k.hint())
	case int64:
		switch {
		case v == 0:
			r.wrong(n, "0 changes nothing", `keepalived's weight 0 is "fault" here`)
		case v < -maxWeight || v > maxWeight:
			r.wrong(n, fmt.Sprintf("%d is outside -%d–%d", v, maxWeight, maxWeight), "")
		default:
			return check.Weight{Delta: int(v)}, true
		}
	default:
		r.mismatch(n, "a weight", k.hint())
	}
	return nil, false
}

func (weight) hint() string {
	return `"fault" makes a VIP not eligible; a number is added to its priority`
}

// tracked is one entry of track or track_interfaces.
type tracked struct {
	name   string
	node   *node // where it is named
	weight check.Weight
	own    bool // no weight here: that of the check, or "fault"
}

// tracking is a list of names, or a table of names and weights; its value is a
// []tracked in the order of the file.
type tracking struct{ of text }

func (k tracking) allowed() string {
	return "a list of names, or a table of names and weights"
}

func (k tracking) parse(r *reporter, n *node) (any, bool) {
	return parseTracked(r, n, k.of, weight{})
}

// parseTracked reads a list of names, or a table of names and weights.
func parseTracked(r *reporter, n *node, of text, weight kind) (any, bool) {
	if n.isTable() {
		return parseWeights(r, n, of, weight)
	}
	names, ok := list{of}.parse(r, n)
	if !ok {
		return nil, false
	}
	seen := map[string]bool{}
	var entries []tracked
	for i, v := range names.([]any) {
		name := v.(string)
		if seen[name] {
			r.wrong(n.list[i], fmt.Sprintf("%q is listed twice", name), "")
			ok = false
		}
		seen[name] = true
		entries = append(entries, tracked{name: name, node: n.list[i], weight: check.Weight{Fault: true}, own: true})
	}
	return entries, ok
}

func parseWeights(r *reporter, n *node, of text, weight kind) (any, bool) {
	var entries []tracked
	ok := true
	for _, child := range n.children() {
		if err := of.check(child.name); err != nil {
			r.atKey(child, Error, fmt.Sprintf("%s: %q %v", n, child.name, err), "")
			ok = false
			continue
		}
		w, good := weight.parse(r, child)
		if good {
			entries = append(entries, tracked{name: child.name, node: child, weight: w.(check.Weight)})
		}
		ok = ok && good
	}
	return entries, ok
}
