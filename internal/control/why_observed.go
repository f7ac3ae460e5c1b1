package control

import (
	"fmt"
	"strings"

	"github.com/vipd/vipd/pkg/engine"
)

// ObservedHolder says who really has a VIP, of a vipd that only observes.
func ObservedHolder(o engine.ObservedStatus) string {
	var list []string
	if o.Here {
		list = append(list, "this host")
	}
	for _, a := range o.Holders {
		list = append(list, a.String())
	}
	if len(list) == 0 {
		return "nobody"
	}
	return strings.Join(list, " and ")
}

// ObservedWords says whether what is differs from what vipd would do.
func ObservedWords(o engine.ObservedStatus) string {
	if len(o.Differences) == 0 {
		return "agrees"
	}
	texts := make([]string, len(o.Differences))
	for i, d := range o.Differences {
		texts[i] = d.Text
	}
	return "DIFFERS: " + strings.Join(texts, "; ")
}

// whyObserved tells what is, beside what vipd would do.
func whyObserved(e *Explanation, s engine.Status, v engine.VIPStatus) {
	o := v.Observed
	if o == nil {
		return
	}
	e.Headline = fmt.Sprintf("vipd only observes: %s would be %s on %s, %s. It is with %s.",
		v.Name, v.State, s.Node, since(v.Since, s.Now), ObservedHolder(*o))
	for _, d := range o.Differences {
		e.because("Differs %s (%s): %s.", since(d.Since, s.Now), d.Kind, bare(d.Text))
		e.remedy("%s", observedRemedies[d.Kind])
	}
	if len(o.Differences) == 0 {
		e.because("Agrees: vipd would do the same.")
	}
}

// observedRemedies says what to do about each kind of difference.
var observedRemedies = map[string]string{
	"holder":    "compare priority, version, checks and authentication of the file with those of the other daemon; then: vipd reload",
	"addresses": "give both daemons the same addresses; then: vipd reload",
	"advert":    "write the file as the other daemon is configured, or change both on purpose; then: vipd reload",
}
