package whatif

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/vrrp"
)

// Question is what somebody wants to know. [Parse] makes one.
type Question struct {
	subject  string   // link, check, peer, priority, drain, undrain, failover
	names    []string // of VIPs, or of the one thing
	good     bool     // link, check: up
	priority uint8
	peer     netip.Addr
}

// forms are the questions that there are, by their first word.
var forms = map[string]string{
	"link":     "link NAME down|up",
	"check":    "check NAME down|up",
	"peer":     "peer ADDRESS silent",
	"priority": "priority VIP 1-254",
	"drain":    "drain [VIP...]",
	"undrain":  "undrain [VIP...]",
	"failover": "failover VIP",
}

// Forms lists the questions that there are, sorted.
func Forms() []string {
	var list []string
	for _, f := range forms {
		list = append(list, f)
	}
	slices.Sort(list)
	return list
}

// Parse reads a question, such as "link eth0 down". The error says how it is
// written.
func Parse(words []string) (Question, error) {
	if len(words) == 0 {
		return Question{}, errors.New("a question is one of: " + strings.Join(Forms(), ", "))
	}
	q := Question{subject: words[0], names: words[1:]}
	form, ok := forms[q.subject]
	if !ok {
		return q, fmt.Errorf("no question begins with %q: there is %s", q.subject, strings.Join(Forms(), ", "))
	}
	last := words[len(words)-1]
	switch q.subject {
	case "drain", "undrain":
		return q, nil
	case "failover":
		ok = len(words) == 2
	case "link", "check":
		ok = len(words) == 3 && (last == "up" || last == "down")
		q.good = last == "up"
	case "peer":
		var err error
		if ok = len(words) == 3 && last == "silent"; ok {
			q.peer, err = netip.ParseAddr(words[1])
			ok = err == nil
		}
	case "priority":
		n, err := strconv.ParseUint(last, 10, 8)
		ok = len(words) == 3 && err == nil && n >= 1 && n < vrrp.PriorityOwner
		q.priority = uint8(n)
	}
	if !ok {
		return q, fmt.Errorf("the question is written: %s", form)
	}
	if len(words) == 3 {
		q.names = words[1:2]
	}
	return q, nil
}

// String is the question as a condition: "interface eth0 goes down".
func (q Question) String() string {
	names := strings.Join(q.names, ", ")
	if names == "" {
		names = "everything"
	}
	way := map[bool]string{true: "up", false: "down"}[q.good]
	switch q.subject {
	case "link":
		return fmt.Sprintf("interface %s goes %s", names, way)
	case "check":
		return fmt.Sprintf("check %s %s from now on", names, map[bool]string{true: "passes", false: "fails"}[q.good])
	case "peer":
		return fmt.Sprintf("%s falls silent", q.peer)
	case "priority":
		return fmt.Sprintf("%s gets priority %d", names, q.priority)
	case "drain":
		return names + " is drained"
	case "undrain":
		return names + " is put back into service"
	}
	return names + " is failed over"
}

// UnknownError says that a question names something that there is not.
type UnknownError struct {
	Kind  string   // vip, check, interface, peer
	Name  string   // what was asked for
	Known []string // what there is
}

// Error implements error.
func (e *UnknownError) Error() string { return fmt.Sprintf("no %s is named %q", e.Kind, e.Name) }

// known checks that a question is about things that there are.
func (q Question) known(s engine.Status) error {
	var kind string
	var have []string
	switch q.subject {
	case "link":
		kind = "interface"
		for _, l := range s.Links {
			have = append(have, l.Name)
		}
	case "check":
		kind = "check"
		for _, c := range s.Checks {
			have = append(have, c.Name)
		}
	case "peer":
		kind = "peer"
		for _, v := range s.VIPs {
			if v.Active != nil && !slices.Contains(have, v.Active.Address.String()) {
				have = append(have, v.Active.Address.String())
			}
		}
	default:
		kind = "vip"
		for _, v := range s.VIPs {
			have = append(have, v.Name)
		}
		for _, v := range s.Services {
			if q.subject == "drain" || q.subject == "undrain" {
				have = append(have, v.Name)
			}
		}
	}
	for _, n := range q.names {
		if !slices.Contains(have, n) {
			return &UnknownError{kind, n, have}
		}
	}
	return nil
}
