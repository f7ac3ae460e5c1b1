package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// absent reports whether an error says that nothing has the name that was asked
// for.
func absent(err error) bool {
	var p *control.Problem
	return errors.As(err, &p) && p.Type == control.ProblemNotFound
}

// orService asks about a VIP, or else about an anycast service, of a name. The
// error about a name that neither has is that about VIPs, unless there are only
// services.
func orService[V, S any](vip func() (V, error), service func() (S, error)) (v *V, s *S, err error) {
	one, err := vip()
	if err == nil {
		return &one, nil, nil
	}
	if !absent(err) {
		return nil, nil, err
	}
	other, serviceErr := service()
	switch {
	case serviceErr == nil:
		return nil, &other, nil
	case !absent(serviceErr):
		return nil, nil, serviceErr
	}
	return nil, nil, both(err, serviceErr)
}

// both joins two problems about a name.
func both(vip, service error) error {
	var p, q *control.Problem
	if errors.As(vip, &p) && errors.As(service, &q) && strings.HasPrefix(q.Hint, "there is") {
		joined := *p
		joined.Hint += "; of anycast services " + q.Hint
		return &joined
	}
	return vip
}

// serviceOrVIP asks for the document of a name.
func (a *app) serviceOrVIP(ctx context.Context, name string) (*control.VIPDocument, *control.ServiceDocument, error) {
	c := a.client()
	return orService(func() (control.VIPDocument, error) { return c.VIP(ctx, name) },
		func() (control.ServiceDocument, error) { return c.Service(ctx, name) })
}

// printService prints one anycast service in full.
func (a *app) printService(doc control.ServiceDocument) {
	v, now := doc.Service, doc.Now
	_, _ = fmt.Fprintf(a.out, "%s  %s on %s for %s, since %s\n", clean(v.Name), a.paint(serviceStyle(v), string(v.State)), clean(doc.Node),
		control.Age(now.Sub(v.Since)), v.Since.In(now.Location()).Format("2006-01-02 15:04:05"))
	tab := &table{gap: 2}
	row := func(key, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			tab.add(cells("  "+key, text)...)
		}
	}
	row("why", "%s", v.Why)
	for i, b := range v.Blockers {
		row(once(i, "blocked by"), "%s", b.Text)
	}
	for i, p := range v.Prefixes {
		row(once(i, "prefixes"), "%s  %s", p.Prefix, toldWords(p))
	}
	row("med", "%s", medSum(v.MED))
	row("communities", "%s", strings.Join(v.Communities, " "))
	row("addresses", "%s", deviceWords(v))
	row("follows", "%s", v.Follow)
	if d := v.Drained; d != nil {
		row("drained", "by %s %s ago%s%s", d.Actor, control.Age(now.Sub(d.Since)), colon(d.Reason), untilWord(d.Until, now))
	}
	if !v.DrainUntil.IsZero() {
		row("withdrawn", "in %s", control.Age(v.DrainUntil.Sub(now)))
	}
	if v.LostRestored > 0 {
		row("restored", "%d × addresses that somebody else had removed", v.LostRestored)
	}
	for i, k := range slices.Sorted(maps.Keys(v.Changes)) {
		state, reason, _ := strings.Cut(k, " ")
		row(once(i, "changes"), "%d × %s (%s)", v.Changes[k], strings.ToUpper(state), reason)
	}
	a.printTable(tab, false)
}

// toldWords says which neighbors have a prefix.
func toldWords(p engine.PrefixStatus) string {
	var words []string
	for _, n := range slices.Sorted(maps.Keys(p.Neighbors)) {
		words = append(words, n+" "+told(p, n))
	}
	return strings.Join(words, ", ")
}

// medSum is the metric as a sum.
func medSum(m engine.MEDStatus) string {
	text := fmt.Sprint(m.Effective)
	if len(m.Terms) > 0 {
		text += fmt.Sprintf(" = %d", m.Configured)
	}
	for _, t := range m.Terms {
		text += fmt.Sprintf(" %+d (%s %s)", t.Delta, t.Source, t.Name)
	}
	return text
}

// deviceWords says where the addresses are.
func deviceWords(v engine.ServiceStatus) string {
	switch {
	case v.Device == "":
		return "not vipd's"
	case v.Held:
		return "on " + v.Device
	}
	return "not on " + v.Device + " now"
}
