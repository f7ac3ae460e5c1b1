package control

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// Explanation says why a VIP or check is as it is, and what would change that.
// It is the answer to GET …/why, schema vipd.why/v1.
type Explanation struct {
	Schema   string    `json:"schema"`
	Kind     string    `json:"kind"` // vip, anycast, neighbor, check
	Name     string    `json:"name"`
	Node     string    `json:"node"`
	State    string    `json:"state"` // as in the status table
	Since    time.Time `json:"since"`
	Reason   string    `json:"reason,omitempty"` // the word for why the state was entered
	Headline string    `json:"headline"`
	Because  []string  `json:"because"`              // lines; indented ones belong to the one before
	Remedies []string  `json:"what_would_change_it"` // one per line
}

// Text is the explanation as a human reads it, several lines.
func (e Explanation) Text() string {
	var b strings.Builder
	fmt.Fprintln(&b, e.Headline)
	if len(e.Because) > 0 {
		fmt.Fprintln(&b)
	}
	for _, line := range e.Because {
		fmt.Fprintln(&b, "  "+line)
	}
	if len(e.Remedies) > 0 {
		fmt.Fprint(&b, "\nWhat would change it:\n")
	}
	for _, line := range e.Remedies {
		fmt.Fprintln(&b, "  - "+line)
	}
	return b.String()
}

// because adds a line.
func (e *Explanation) because(format string, args ...any) {
	e.Because = append(e.Because, fmt.Sprintf(format, args...))
}

// remedy adds something that would change it.
func (e *Explanation) remedy(format string, args ...any) {
	e.Remedies = append(e.Remedies, fmt.Sprintf(format, args...))
}

// Drained is what [ShownState] says about a VIP that is out of service.
const Drained = "DRAINED"

// ShownState is the state as it is shown to operators: the engine's, or DRAINED
// once an operator has taken the VIP out of service and it has left Active. That of
// a vipd that only observes is in brackets: it would be so.
func ShownState(v engine.VIPStatus) string {
	switch {
	case v.Observed != nil:
		return "(" + string(v.State) + ")"
	case v.Drained != nil && v.State != engine.Active:
		return Drained
	}
	return string(v.State)
}

// reasons explains the words of VIPStatus.Reason. Others are shown as they are.
var reasons = map[string]string{
	"no-response": "no Active was heard",
	"priority":    "a higher priority is advertised",
	"address":     "an equal priority is advertised from a higher address",
	"preempted":   "the higher priority took over from the lower one",
	"release":     "the Active before gave it up",
	"owner":       "this host owns the addresses",
	"listen":      "every start begins by listening",
	"startup":     "the daemon has started",
	"kernel":      "the kernel does not take the addresses",
	"drained":     "an operator took it out of service",
	"failover":    "an operator asked for a failover",
	"handover":    "it was moved without a gap",
	"vacant":      "it was free",
	"late-wake":   "this host had not run for longer than its lease",
	"lease":       "its lease had ended",
	"votes":       "it had no majority of the votes",
	"check":       "a check changed",
	"interface":   "an interface changed",
	"sync":        "its sync group moves together",
	"stop":        "the daemon stops",
	"reload":      "the configuration changed",
}

// Why explains a VIP. The error is a [Problem] that says which VIPs there are.
func Why(s engine.Status, name string) (Explanation, error) {
	v, err := findVIP(s, name)
	if err != nil {
		return Explanation{}, err
	}
	e := &Explanation{
		Schema: schemaWhy, Kind: "vip", Name: name, Node: s.Node, State: ShownState(v),
		Since: v.Since, Reason: v.Reason, Because: []string{}, Remedies: []string{},
	}
	e.Headline = fmt.Sprintf("%s is %s on %s %s.", name, e.State, s.Node, since(v.Since, s.Now))
	whyObserved(e, s, v)
	whyEntered(e, v)
	whyDrained(e, s, v.Name, v.Drained)
	switch v.State {
	case engine.Active:
		whyActive(e, s, v)
	case engine.Backup:
		whyBackup(e, s, v)
	case engine.Fault, engine.Initialize:
		whyNotEligible(e, s, v)
	}
	whyRestart(e, s, v)
	whyAuth(e, s, v)
	return *e, nil
}

// whyEntered says why the state was entered.
func whyEntered(e *Explanation, v engine.VIPStatus) {
	text, known := reasons[v.Reason]
	switch {
	case known:
		text = fmt.Sprintf("It became %s because %s (%s)", v.State, text, v.Reason)
	case v.Reason != "":
		text = fmt.Sprintf("It became %s: %s", v.State, v.Reason)
	default:
		text = fmt.Sprintf("It became %s", v.State)
	}
	more := bare(v.Entered)
	repeated := slices.ContainsFunc(v.Blockers, func(b engine.Blocker) bool { return strings.HasPrefix(b.Text, more) })
	if more != "" && v.Drained == nil && !repeated {
		text += ": " + more
	}
	e.because("%s.", text)
}

// whyDrained tells who took it out of service and how it comes back.
func whyDrained(e *Explanation, s engine.Status, name string, d *engine.DrainStatus) {
	if d == nil {
		return
	}
	reason := ""
	if d.Reason != "" {
		reason = ": " + d.Reason
	}
	e.because("Drained by %s %s%s.", d.Actor, since(d.Since, s.Now), reason)
	if !d.Until.IsZero() {
		e.remedy("the drain ends by itself at %s (in %s)", clock(d.Until, s.Now), Age(d.Until.Sub(s.Now)))
	}
	e.remedy("vipd undrain %s", name)
}

// whyActive explains Active (RFC 9568, Section 6.4.3).
func whyActive(e *Explanation, s engine.Status, v engine.VIPStatus) {
	switch h := v.BeforeHold; {
	case h != nil:
		e.because("Its addresses are not opened yet: it waits for before_hold of %s, which has run for %s.", h.VIP, Age(s.Now.Sub(h.Since)))
		e.remedy("before_hold of %s ends, or its time does, in %s at most", h.VIP, Age(h.Until.Sub(s.Now)))
	case v.Observed != nil: // told
	case v.Held && v.Stage == engine.Held:
		e.because("The kernel has its addresses: %s.", joinPrefixes(v.Addresses))
	default:
		e.because("The kernel does not have its addresses yet: it waits at the stage %q.", v.Stage)
	}
	if v.Observed == nil {
		whyLease(e, v)
	}
	whyVotes(e, s, v)
	whyPriority(e, s, v)
	if a := v.Active; a != nil {
		e.because("%s advertises as well, with priority %d, the last time %s ago.", a.Address, a.Priority, Age(s.Now.Sub(a.Heard)))
	} else {
		e.because("No other host advertises it.")
	}
	whyPair(e, s, v)
	switch mine := v.Priority.Effective; mine {
	case 255:
		e.remedy("nothing that a peer advertises: the address owner stays Active while it is fit")
	default:
		e.remedy("a peer with a priority above %d that preempts", mine)
	}
	lostTerms(e, s, v)
	faultTracks(e, s, v)
	if v.Drained == nil && v.Observed == nil {
		e.remedy("vipd failover %s   gives it to a peer once", v.Name)
		e.remedy("vipd drain %s   takes it out of service here until: vipd undrain %s", v.Name, v.Name)
	}
}

// whyBackup explains Backup (RFC 9568, Section 6.4.2).
func whyBackup(e *Explanation, s engine.Status, v engine.VIPStatus) {
	a, mine := v.Active, v.Priority.Effective
	if a == nil {
		e.because("No host is heard that advertises it.")
	} else {
		e.because("%s is Active; its last advert came %s ago with priority %d.", a.Address, Age(s.Now.Sub(a.Heard)), a.Priority)
	}
	whyPair(e, s, v)
	whyPriority(e, s, v)
	switch {
	case v.Stage == engine.Cleared:
		e.because("It may take over, and waits for the guard: %s.", bare(v.Why))
		whyVotes(e, s, v)
		whyFence(e, s, v)
	case a == nil:
	case mine < a.Priority:
		e.because("%d is lower than %d, so this host stays Backup.", mine, a.Priority)
	case mine == a.Priority:
		e.because("%d equals %d: a tie leaves the Active alone.", mine, a.Priority)
	case v.PreemptHolding != "":
		e.because("%d is higher than %d, but this host leaves it alone: %s.", mine, a.Priority, bare(v.PreemptHolding))
	default:
		e.because("%d is higher than %d, so this host takes over%s.", mine, a.Priority, deadline(s, v))
		return // nothing has to change
	}
	backupRemedies(e, s, v)
}

// deadline says when a Backup takes over, "" when it does not know.
func deadline(s engine.Status, v engine.VIPStatus) string {
	due := v.ActiveDownDue
	if due.IsZero() {
		return ""
	}
	return fmt.Sprintf(" at %s (in %s)", due.In(s.Now.Location()).Format("15:04:05.000"), Age(due.Sub(s.Now)))
}

// backupRemedies says what would make a Backup Active.
func backupRemedies(e *Explanation, s engine.Status, v engine.VIPStatus) {
	for i, t := range v.Priority.Terms {
		if t.Delta >= 0 {
			continue
		}
		then := priorityWithout(v.Priority, i)
		text := fmt.Sprintf("%s: priority %d", comesBack(s, t.Source, t.Name), then)
		switch {
		case v.Active == nil:
		case then > int(v.Active.Priority) && v.PreemptHolding == "":
			text += fmt.Sprintf(" > %d, and this host takes over", v.Active.Priority)
		case then > int(v.Active.Priority):
			text += fmt.Sprintf(" > %d, but this host leaves it alone: %s", v.Active.Priority, bare(v.PreemptHolding))
		default:
			text += fmt.Sprintf(", not above %d", v.Active.Priority)
		}
		e.remedy("%s", text)
	}
	switch {
	case v.Active != nil:
		e.remedy("%s falls silent: this host takes over %s after its last advert,%s unless one comes",
			v.Active.Address, v.ActiveDown, deadline(s, v))
		e.remedy("vipd failover %s   on the host that is Active", v.Name)
	case !v.ActiveDownDue.IsZero():
		e.remedy("nobody advertises: this host takes over%s unless an advert comes", deadline(s, v))
	}
}

// whyNotEligible explains Fault and Initialize: one blocker per line, and what
// would take each away.
func whyNotEligible(e *Explanation, s engine.Status, v engine.VIPStatus) {
	blockers := slices.Clone(v.Blockers)
	if v.Drained != nil { // told already
		blockers = slices.DeleteFunc(blockers, func(b engine.Blocker) bool { return b.Kind == engine.BlockedDrain })
	}
	if len(blockers) > 0 {
		e.because("It may not be held here because:")
	}
	seen := make(map[string]bool)
	for _, b := range blockers {
		e.because("  - %s", bare(b.Text))
		if fix := unblock(s, v, b); fix != "" && !seen[fix] {
			seen[fix] = true
			e.remedy("%s", fix)
		}
	}
	if a := v.Active; a != nil {
		e.because("%s is Active; its last advert came %s ago with priority %d.", a.Address, Age(s.Now.Sub(a.Heard)), a.Priority)
	}
	whyPair(e, s, v)
}

// joinPrefixes lists addresses.
func joinPrefixes(list []netip.Prefix) string {
	words := make([]string, 0, len(list))
	for _, p := range list {
		words = append(words, p.String())
	}
	return strings.Join(words, ", ")
}

// bare takes the full stop off a text.
func bare(text string) string { return strings.TrimRight(text, ". ") }
