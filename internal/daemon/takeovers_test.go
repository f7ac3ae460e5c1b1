package daemon

import (
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/internal/control/controltest"
	"github.com/vipd/vipd/internal/control/metrics"
	"github.com/vipd/vipd/pkg/engine"
)

// TestTakeovers times the phases of takeovers, each once: after silence, one
// that was preempted, and one that was lost again before its addresses came.
func TestTakeovers(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	change := func(seq uint64, ms int, to engine.State, took time.Duration) engine.Record {
		return engine.Record{Seq: seq, Time: at(ms), Type: engine.RecordTransition, Name: "web", To: string(to), Took: took}
	}
	present := func(seq uint64, ms int) engine.Record {
		return engine.Record{Time: at(ms), Type: engine.RecordAddress, Name: "web", To: "present", Cause: seq}
	}
	for name, c := range map[string]struct {
		do   func(takeovers, *metrics.Timings)
		want map[string]string // sum of each phase in seconds
	}{
		"silence": {func(o takeovers, m *metrics.Timings) {
			o.reported(change(1, 0, engine.Active, 3600*time.Millisecond), m)
			if o.announced("web", m) != nil {
				t.Error("announced before the addresses are there")
			}
			o.reported(present(1, 2), m)
			o.reported(present(1, 900), m) // put back
			left := o.announced("web", m)
			if o.announced("web", m) != nil {
				t.Error("a later burst ends the takeover again")
			}
			left(at(5))
		}, map[string]string{"detect": "3.6", "address": "0.002", "announce": "0.003", "total": "3.605"}},
		"preempted": {func(o takeovers, m *metrics.Timings) {
			o.reported(change(1, 0, engine.Active, 0), m)
			o.reported(present(1, 4), m)
			o.announced("web", m)(at(5))
		}, map[string]string{"detect": "0", "address": "0.004", "announce": "0.001", "total": "0"}},
		"lost": {func(o takeovers, m *metrics.Timings) {
			o.reported(change(1, 0, engine.Active, time.Second), m)
			o.reported(change(2, 1, engine.Backup, 0), m)
			o.reported(present(1, 4), m)
			if o.announced("web", m) != nil {
				t.Error("announced though it was lost")
			}
		}, map[string]string{"detect": "1", "address": "0", "announce": "0", "total": "0"}},
	} {
		timings := metrics.NewTimings()
		c.do(takeovers{}, timings)
		page, err := metrics.Page(&controltest.Daemon{}, timings)
		if err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		page.ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
		got := map[string]string{}
		for _, m := range regexp.MustCompile(`failover_duration_seconds_sum\{phase="(\w+)"\} (.*)`).FindAllStringSubmatch(rec.Body.String(), -1) {
			got[m[1]] = m[2]
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}
