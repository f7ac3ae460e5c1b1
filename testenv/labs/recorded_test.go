package labs

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"
)

// event is the part of vipd.event/v1 that the labs look at.
type event struct {
	ID     uint64    `json:"id"`
	Cause  uint64    `json:"cause"`
	Time   time.Time `json:"time"`
	Type   string    `json:"type"`
	Name   string    `json:"name"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	Reason string    `json:"reason"`
	Text   string    `json:"text"`
}

// events lists what the agent has recorded of some types.
func (a *agent) events(types ...string) (list []event) {
	a.t.Helper()
	args := []string{"events", "--json"}
	if len(types) > 0 {
		args = append(args, "--type", strings.Join(types, ","))
	}
	out := a.must(args...)
	for dec := json.NewDecoder(strings.NewReader(out)); dec.More(); {
		var e event
		if err := dec.Decode(&e); err != nil {
			a.t.Fatalf("read events: %v\n%s", err, out)
		}
		list = append(list, e)
	}
	return list
}

// logged returns the times of the lines of its log that match, by their first group.
func (a *agent) logged(lines *regexp.Regexp) (times []time.Time) {
	a.t.Helper()
	for _, m := range lines.FindAllStringSubmatch(a.earlier+a.proc.Output(), -1) {
		at, err := time.Parse(time.RFC3339, m[1])
		if err != nil {
			a.t.Fatal(err)
		}
		times = append(times, at)
	}
	return times
}
