package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// statusOne is vipd status NAME.
func (a *app) statusOne(ctx context.Context, name string) error {
	vip, service, err := a.serviceOrVIP(ctx, name)
	switch {
	case err != nil:
		return err
	case a.json && vip != nil:
		return a.document(ctx, control.PathVIP(name))
	case a.json:
		return a.document(ctx, control.PathService(name))
	case vip != nil:
		a.printVIP(*vip)
	default:
		a.printService(*service)
	}
	return nil
}

// printVIP prints one VIP in full.
func (a *app) printVIP(doc control.VIPDocument) {
	v, now := doc.VIP, doc.Now
	state := control.ShownState(v)
	_, _ = fmt.Fprintf(a.out, "%s  %s on %s for %s, since %s\n", clean(v.Name), a.paint(stateStyle(state), state), clean(doc.Node),
		control.Age(now.Sub(v.Since)), v.Since.In(now.Location()).Format("2006-01-02 15:04:05"))
	tab := &table{gap: 2}
	row := func(key, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			tab.add(cells("  "+key, text)...)
		}
	}
	row("why", "%s", v.Why)
	if v.Observed != nil {
		row("observes", "it is with %s; vipd %s", control.ObservedHolder(*v.Observed), control.ObservedWords(*v.Observed))
	}
	for i, b := range v.Blockers {
		row(once(i, "blocked by"), "%s", b.Text)
	}
	if v.Observed == nil {
		row("stage", "%s", stageWords(v))
	}
	for i, p := range v.Addresses {
		row(once(i, "addresses"), "%s%s", p, heldWord(v))
	}
	row("election", "vrid %d on %s, version %d over %s%s", v.VRID, v.Interface, v.Version, v.Family, groupWord(v))
	row("priority", "%s", priorityWords(v.Priority))
	row("active", "%s", activeWords(v, now))
	if v.Observed == nil {
		row("lease", "%s", leaseWords(v.Lease, now))
	}
	row("standby", "%s", v.Standby)
	if !v.Proven.IsZero() {
		row("proven", "a failover, %s ago", control.Age(now.Sub(v.Proven)))
	}
	if h := v.Handover; h != nil {
		row("handover", "to %s, in %s at most", h.To, control.Age(h.Until.Sub(now)))
	}
	if v.Epoch > 0 {
		row("epoch", "%d", v.Epoch)
	}
	row("preempt", "%s", v.PreemptHolding)
	switch {
	case v.Unkept != "":
		row("restart", "gives it up: %s", v.Unkept)
	case v.ResumedAfter > 0:
		row("restart", "went on in place %s after the last advert of the run before", v.ResumedAfter.Round(100*time.Microsecond))
	}
	row("timers", "%s", timerWords(v, now))
	if d := v.Drained; d != nil {
		row("drained", "by %s %s ago%s%s", d.Actor, control.Age(now.Sub(d.Since)), colon(d.Reason), untilWord(d.Until, now))
	}
	row("auth", "%s", authWords(v.Auth, now))
	row("adverts", "%d sent, %d received%s", v.AdvertsSent, v.AdvertsReceived, disbelievedWord(v))
	row("releases", "%d sent, %d received", v.ReleasesSent, v.ReleasesReceived)
	if v.Contests > 0 {
		row("contests", "%d won", v.Contests)
	}
	if v.LostRestored > 0 {
		row("restored", "%d addresses that somebody else had removed", v.LostRestored)
	}
	for i, t := range transitions(v) {
		row(once(i, "changes"), "%s", t)
	}
	a.printTable(tab, false)
}

// once names a row only where a list begins.
func once(i int, key string) string {
	if i == 0 {
		return key
	}
	return ""
}

// stageWords says at which stage a VIP waits.
func stageWords(v engine.VIPStatus) string {
	if v.Stage == engine.Held && v.Held {
		return string(engine.Held)
	}
	return "waits to be " + string(v.Stage)
}

// heldWord says whether the kernel has an address.
func heldWord(v engine.VIPStatus) string {
	if v.Held {
		return "  here"
	}
	return ""
}

// groupWord names the sync group.
func groupWord(v engine.VIPStatus) string {
	if v.Group == "" {
		return ""
	}
	return ", moves with group " + v.Group
}

// priorityWords is the priority as a sum.
func priorityWords(p engine.PriorityStatus) string {
	if len(p.Terms) == 0 {
		return fmt.Sprintf("%d", p.Effective)
	}
	text := fmt.Sprintf("%d = %d", p.Effective, p.Configured)
	for _, t := range p.Terms {
		text += fmt.Sprintf(" %+d (%s %s)", t.Delta, t.Source, t.Name)
	}
	return text
}

// activeWords says who is Active and when it was heard.
func activeWords(v engine.VIPStatus, now time.Time) string {
	if v.Active == nil || v.Observed != nil {
		return activeHost(v)
	}
	text := fmt.Sprintf("%s with priority %d, heard %s ago, every %s", v.Active.Address, v.Active.Priority,
		control.Age(now.Sub(v.Active.Heard)), v.Active.Interval)
	if v.State == engine.Active {
		return "this host, and " + text
	}
	return text
}

// timerWords are the two intervals of the protocol, and the deadline.
func timerWords(v engine.VIPStatus, now time.Time) string {
	text := fmt.Sprintf("advert every %s, active-down after %s", v.Interval, v.ActiveDown)
	if !v.ActiveDownDue.IsZero() {
		text += fmt.Sprintf(" (in %s)", control.Age(v.ActiveDownDue.Sub(now)))
	}
	return text
}

// authWords is how adverts are authenticated, and what that refused.
func authWords(a *engine.AuthStatus, now time.Time) string {
	if a == nil {
		return ""
	}
	text := a.Mode
	if a.ActiveKey > 0 {
		text += fmt.Sprintf(", signs with key %d", a.ActiveKey)
	}
	if len(a.Keys) > 0 {
		text += ", believes " + strings.ReplaceAll(strings.Trim(fmt.Sprint(a.Keys), "[]"), " ", ", ")
	}
	text += fmt.Sprintf("; %d adverts refused", a.Refused)
	if last := a.Last; last != nil {
		text += fmt.Sprintf(", the last %s ago from %s: %s", control.Age(now.Sub(last.Time)), last.Source, last.Detail)
	}
	return text
}

// disbelievedWord counts adverts that say what no host of the pair says of itself.
func disbelievedWord(v engine.VIPStatus) string {
	if v.Disbelieved == 0 {
		return ""
	}
	return fmt.Sprintf("; %d not believed, since no host of the pair says so", v.Disbelieved)
}

// colon puts a reason behind a statement.
func colon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// untilWord says when a drain ends.
func untilWord(until, now time.Time) string {
	if until.IsZero() {
		return ""
	}
	return "; ends by itself in " + control.Age(until.Sub(now))
}

// transitions lists how often the state changed, most frequent first.
func transitions(v engine.VIPStatus) []string {
	keys := slices.SortedFunc(maps.Keys(v.Transitions), func(a, b string) int {
		return cmp.Or(cmp.Compare(v.Transitions[b], v.Transitions[a]), cmp.Compare(a, b))
	})
	lines := make([]string, 0, len(keys))
	for _, k := range keys {
		line := k
		if f := strings.Fields(k); len(f) == 3 {
			line = fmt.Sprintf("%s -> %s (%s)", f[0], f[1], f[2])
		}
		lines = append(lines, fmt.Sprintf("%d × %s", v.Transitions[k], line))
	}
	return lines
}
