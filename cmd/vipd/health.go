package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/bgp"
	"github.com/vipd/vipd/pkg/engine"
)

// nagios is the exit code of a plugin of Nagios or Icinga.
type nagios int

// The verdicts.
const (
	nagiosOK nagios = iota
	nagiosWarning
	nagiosCritical
	nagiosUnknown
)

// String is the word that begins the line.
func (v nagios) String() string { return [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[v] }

// Error implements error: the verdict, which has been printed already.
func (v nagios) Error() string { return v.String() }

// healthDocument is the JSON of vipd health, schema vipd.verdict/v1.
type healthDocument struct {
	Schema   string         `json:"schema"`
	State    string         `json:"state"`
	Code     int            `json:"code"`
	Text     string         `json:"text"`
	Problems []string       `json:"problems"` // worst first
	Counts   map[string]int `json:"counts,omitempty"`
}

// healthCommand is vipd health.
func (a *app) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "print one line for Nagios or Icinga; exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.within(cmd.Context(), shortTime)
			defer cancel()
			v, doc, perf := a.health(ctx)
			doc.Schema, doc.State, doc.Code = "vipd.verdict/v1", v.String(), int(v)
			if a.json {
				if err := a.encodeJSON(doc); err != nil {
					return err
				}
			} else {
				line := fmt.Sprintf("%s - %s", v, strings.NewReplacer("|", "/", "\n", " ").Replace(doc.Text))
				a.say("%s%s", line, perf)
			}
			if v == nagiosOK {
				return nil
			}
			return v
		},
	}
}

// health asks the daemon and judges.
func (a *app) health(ctx context.Context) (nagios, healthDocument, string) {
	status, err := a.client().Status(ctx)
	if err != nil {
		return nagiosUnknown, healthDocument{Text: err.Error(), Problems: []string{err.Error()}}, ""
	}
	counts, perf := tally(status)
	doc := healthDocument{Problems: []string{}, Counts: counts}
	v := nagiosOK
	for _, n := range news(status) {
		doc.Problems = append(doc.Problems, n.text)
		if n.rank == worstRank {
			v = nagiosCritical
		}
		v = max(v, nagiosWarning)
	}
	doc.Text = strings.Join(doc.Problems, "; ")
	if v == nagiosOK {
		doc.Text = fmt.Sprintf("%s: %d ACTIVE, %d BACKUP", status.Node.Name, counts["active"], counts["backup"])
		if len(status.Services) > 0 {
			doc.Text += fmt.Sprintf(", %d ANNOUNCED", counts["announced"])
		}
	}
	return v, doc, perf
}

// tally counts what there is in each state, and writes it as performance data
// with the thresholds by which it is judged: value;warning;critical;least;most.
func tally(doc control.StatusDocument) (map[string]int, string) {
	counts := map[string]int{}
	for _, v := range doc.VIPs {
		switch {
		case v.Drained != nil:
			counts["drained"]++
		case v.State == engine.Active:
			counts["active"]++
		case v.State == engine.Backup:
			counts["backup"]++
		case v.State == engine.Fault:
			counts["fault"]++
		default:
			counts["init"]++
		}
	}
	for _, c := range doc.Checks {
		if c.State == checkDown {
			counts["checks_down"]++
		}
	}
	var perf strings.Builder
	perf.WriteString(" |")
	for _, p := range []struct {
		name, limits string
		most         int
	}{
		{"active", ";", len(doc.VIPs)}, {"backup", ";", len(doc.VIPs)}, {"fault", ";0", len(doc.VIPs)},
		{"init", "0;", len(doc.VIPs)}, {"drained", "0;", len(doc.VIPs)}, {"checks_down", "0;", len(doc.Checks)},
	} {
		counts[p.name] += 0 // all are there
		fmt.Fprintf(&perf, " %s=%d;%s;0;%d", p.name, counts[p.name], p.limits, p.most)
	}
	perf.WriteString(tallyAnycast(doc, counts))
	return counts, perf.String()
}

// tallyAnycast counts the services that are announced and the sessions that are
// up, where there are any.
func tallyAnycast(doc control.StatusDocument, counts map[string]int) (perf string) {
	if doc.BGP == nil {
		return ""
	}
	counts["announced"], counts["bgp_up"] = 0, 0
	for _, v := range doc.Services {
		if v.State == engine.ServiceAnnounced {
			counts["announced"]++
		}
	}
	for _, n := range doc.BGP.Neighbors {
		if n.State == bgp.Established {
			counts["bgp_up"]++
		}
	}
	all := len(doc.BGP.Neighbors)
	return fmt.Sprintf(" announced=%d;;;0;%d bgp_up=%d;%d:;1:;0;%d", counts["announced"], len(doc.Services), counts["bgp_up"], all, all)
}
