package control

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vipd/vipd/pkg/engine"
)

// WhyCheck explains a check. The error is a [Problem] that says which checks
// there are.
func WhyCheck(s engine.Status, name string) (Explanation, error) {
	c, err := findCheck(s, name)
	if err != nil {
		return Explanation{}, err
	}
	e := &Explanation{
		Schema: schemaWhy, Kind: "check", Name: name, Node: s.Node, State: c.State,
		Since: c.Since, Because: []string{}, Remedies: []string{},
	}
	e.Headline = fmt.Sprintf("%s is %s on %s %s.", name, c.State, s.Node, since(c.Since, s.Now))
	whyResults(e, s, c)
	whyMasked(e, s, c)
	whyTracked(e, s, c)
	whyDepends(e, s, c)
	checkRemedies(e, s, c)
	return *e, nil
}

// whyResults says what the health comes from: probes, sights or members.
func whyResults(e *Explanation, s engine.Status, c engine.CheckStatus) {
	ago := Age(s.Now.Sub(c.LastRun))
	switch {
	case c.Group != nil:
		e.because("It is a group: %s.", bare(c.LastDetail))
	case c.LastRun.IsZero() && c.Watched:
		e.because("It is a check of type %s, and nothing has been seen yet.", c.Type)
	case c.LastRun.IsZero():
		e.because("It is a check of type %s and has not run yet.", c.Type)
	case c.Watched:
		e.because("It is watched: the last sight of the %s, %s ago, %s%s.", c.Type, ago, verdict(c.LastOK), detail(c.LastDetail))
		e.because("%s so far, %d of them bad.", count(int(c.Runs), "sight"), c.Failures)
	default:
		e.because("The last %s probe, %s ago, took %s and %s%s.", c.Type, ago, Age(c.LastTook), verdict(c.LastOK), detail(c.LastDetail))
		e.because("That makes %d %s in a row; %d good make it up, %d bad make it down.", c.Consecutive, goodOrBad(c.LastOK), c.Rise, c.Fall)
		e.because("%s so far, %d of them failed.", count(int(c.Runs), "probe"), c.Failures)
	}
	if words := mixed(c.Recent); words != "" {
		e.because("The last %d, oldest first: %s.", len(c.Recent), words)
	}
	if c.Weight != nil {
		e.because("It reports the weight %+d.", *c.Weight)
	}
	switch {
	case !c.HeldUntil.IsZero() && c.Masked == "":
		e.because("It is held down until %s (in %s), because it went down too often: it must stay good for %s.",
			clock(c.HeldUntil, s.Now), Age(c.HeldUntil.Sub(s.Now)), c.HoldDown)
	case c.HoldDown > 0 && c.Masked == "" && !c.Healthy:
		e.because("It went down too often: once it is good, it must stay so for %s.", c.HoldDown)
	}
}

// mixed lists results, "" when they are all the same.
func mixed(results []engine.CheckResult) string {
	words := make([]string, 0, len(results))
	for _, r := range results {
		words = append(words, goodOrBad(r.OK))
	}
	if len(slices.Compact(slices.Clone(words))) < 2 {
		return ""
	}
	return strings.Join(words, ", ")
}

// whyMasked says what masks a check.
func whyMasked(e *Explanation, s engine.Status, c engine.CheckStatus) {
	if c.Masked == "" {
		return
	}
	e.because("It is masked %s: nothing that it says counts, and it stays %s.", c.Masked, c.State)
	switch by, check := strings.CutPrefix(c.Masked, "by "); {
	case check:
		e.remedy("%s; see: vipd why %s", comesBack(s, "check", by), by)
	case !c.HeldUntil.IsZero():
		e.remedy("it gets another try at %s (in %s)", clock(c.HeldUntil, s.Now), Age(c.HeldUntil.Sub(s.Now)))
	default:
		e.remedy("the vip is held here")
	}
}

// whyTracked says what a check does to the VIPs that track it: what it does now,
// or else what it would.
func whyTracked(e *Explanation, s engine.Status, c engine.CheckStatus) {
	for _, v := range s.VIPs {
		told := false
		for _, t := range v.Priority.Terms {
			if t.Source == "check" && t.Name == c.Name {
				e.because("%s has priority %d instead of %d, of which %+d is this check.",
					v.Name, v.Priority.Effective, v.Priority.Configured, t.Delta)
				told = true
			}
		}
		for _, b := range v.Blockers {
			if b.Kind == engine.BlockedCheck && b.Name == c.Name {
				e.because("%s may not be held here: %s.", v.Name, bare(b.Text))
				told = true
			}
		}
		for _, t := range v.Tracks {
			switch {
			case told || t.Source != "check" || t.Name != c.Name:
			case t.Fault && c.Healthy:
				e.because("%s may be held here only while it is up.", v.Name)
			case t.Fault:
				e.because("%s may not be held here.", v.Name)
			case t.Weight < 0:
				e.because("%s would have %+d on its priority while it is down.", v.Name, t.Weight)
			default:
				e.because("%s would have %+d on its priority while it is up.", v.Name, t.Weight)
			}
		}
	}
}

// whyDepends says which other checks depend on this one.
func whyDepends(e *Explanation, s engine.Status, c engine.CheckStatus) {
	for _, other := range s.Checks {
		if g := other.Group; g != nil && slices.Contains(g.Members, c.Name) {
			e.because("It is one of %d members of %s, of which %d must be up; that is %s.", len(g.Members), other.Name, g.Need, other.State)
		}
		if slices.Contains(other.After, c.Name) {
			e.because("%s is masked while it is down.", other.Name)
		}
	}
}

// checkRemedies says what would change the state of a check that is not masked.
func checkRemedies(e *Explanation, s engine.Status, c engine.CheckStatus) {
	switch {
	case c.Masked != "":
	case c.State != checkUp && c.Group == nil && !c.Watched && c.HeldUntil.IsZero():
		e.remedy("%s in a row, %d so far%s", count(c.Rise, "good probe"), goodSoFar(c), holdWords(c))
	case c.State != checkUp:
		e.remedy("%s", needs(s, c))
	case c.Group != nil:
		e.remedy("fewer than %d of its %d members up: %s", c.Group.Need, len(c.Group.Members), strings.Join(c.Group.Members, ", "))
	case c.Watched:
		e.remedy("the %s fails", c.Type)
	default:
		e.remedy("%s in a row", count(c.Fall, "bad probe"))
	}
	if c.Group == nil && !c.Watched {
		e.remedy("vipd check run %s   probes now and shows the answer; it does not count", c.Name)
	}
}

// needs says what a check that is not up needs to be up.
func needs(s engine.Status, c engine.CheckStatus) string {
	text := ""
	switch {
	case c.Group != nil:
		up := 0
		for _, name := range c.Group.Members {
			if m, ok := checkByName(s, name); ok && m.Healthy {
				up++
			}
		}
		return fmt.Sprintf("needs %d of %s up, %d so far", c.Group.Need, strings.Join(c.Group.Members, ", "), up)
	case !c.HeldUntil.IsZero() && c.Masked == "":
		return fmt.Sprintf("no bad result until %s, in %s", clock(c.HeldUntil, s.Now), Age(c.HeldUntil.Sub(s.Now)))
	case c.Watched:
		text = fmt.Sprintf("the %s is good again", c.Type)
	default:
		text = fmt.Sprintf("needs %d good in a row, %d so far", c.Rise, goodSoFar(c))
	}
	text += holdWords(c)
	if c.Masked != "" {
		text += ", and is masked " + c.Masked
	}
	return text
}

// holdWords says how long a check must stay good besides.
func holdWords(c engine.CheckStatus) string {
	if c.HoldDown == 0 {
		return ""
	}
	return fmt.Sprintf(", and good for %s", c.HoldDown)
}

// verdict is the result of a probe in a word.
func verdict(ok bool) string {
	if ok {
		return "was good"
	}
	return "failed"
}

// goodOrBad names results.
func goodOrBad(ok bool) string {
	if ok {
		return "good"
	}
	return "bad"
}

// detail puts what a probe said behind its verdict.
func detail(text string) string {
	if text == "" {
		return ""
	}
	return ": " + bare(text)
}
