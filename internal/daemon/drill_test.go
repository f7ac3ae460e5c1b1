package daemon

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/engine"
)

// TestClientReport adds up what a client saw.
func TestClientReport(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		probes string // a letter for each, 20 ms apart: + was answered after 1 ms, - not within 100 ms
		want   engine.ClientReport
	}{
		"none":         {"", engine.ClientReport{}},
		"all":          {"+++", engine.ClientReport{Sent: 3, OK: true}},
		"late":         {"--------+++", engine.ClientReport{Sent: 11, Lost: 8, Outage: 240 * time.Millisecond, OK: true}},
		"longest gap":  {"-++-------+-+", engine.ClientReport{Sent: 13, Lost: 9, Outage: 220 * time.Millisecond, OK: true}},
		"never":        {"---", engine.ClientReport{Sent: 3, Lost: 3, Outage: 140 * time.Millisecond, Detail: "refused"}},
		"not any more": {"++----------", engine.ClientReport{Sent: 12, Lost: 10, Outage: 280 * time.Millisecond, Detail: "refused"}},
		"but just now": {"++---------", engine.ClientReport{Sent: 11, Lost: 9, Outage: 260 * time.Millisecond, OK: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, at := &client{}, time.Unix(1000, 0)
			for _, letter := range tc.probes {
				p := clientProbe{sent: at, ended: at.Add(time.Millisecond), ok: letter == '+'}
				if !p.ok {
					p.ended, p.detail = at.Add(clientPatient), "refused"
				}
				c.probes, at = append(c.probes, p), at.Add(20*time.Millisecond)
			}
			if diff := cmp.Diff(tc.want, c.report()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
