package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Phase is a part of a takeover.
type Phase string

// The phases of a takeover, in their order, and their sum. Detect is known when
// the old Active was heard before; the total when its detection was, too, and
// when something is announced.
const (
	Detect   Phase = "detect"   // from its last advert, or its release, to the decision
	Address  Phase = "address"  // until the kernel had the addresses
	Announce Phase = "announce" // until the first announcement had left
	Total    Phase = "total"
)

// Timings are the histograms that the daemon fills. They may be used from many
// goroutines.
type Timings struct {
	lateness prometheus.Histogram
	failover *prometheus.HistogramVec
	handover *prometheus.HistogramVec
}

// NewTimings makes empty histograms.
func NewTimings() *Timings {
	t := &Timings{
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "vipd_timer_lateness_seconds",
			Help:    "How much later than asked for the loop was woken.",
			Buckets: []float64{100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1},
		}),
		failover: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "vipd_failover_duration_seconds",
			Help:    "How long takeovers by this host took, by phase.",
			Buckets: []float64{100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10, 30},
		}, []string{"phase"}),
	}
	t.handover = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "vipd_handover_duration_seconds",
		Help:    "How long peers took to take what this host offered them, by result.",
		Buckets: []float64{500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5},
	}, []string{"result"})
	for _, r := range []Result{Taken, NotTaken} {
		t.handover.WithLabelValues(string(r))
	}
	for _, p := range []Phase{Detect, Address, Announce, Total} {
		t.failover.WithLabelValues(string(p)) // there from the start, as 0
	}
	return t
}

// Late counts one wake-up of the loop. A negative lateness counts as none.
func (t *Timings) Late(late time.Duration) { t.lateness.Observe(max(late, 0).Seconds()) }

// Failover counts one phase of a takeover. A negative time counts as none.
func (t *Timings) Failover(p Phase, took time.Duration) {
	t.failover.WithLabelValues(string(p)).Observe(max(took, 0).Seconds())
}

// Result is how a handover ended.
type Result string

// The results of handovers.
const (
	Taken    Result = "taken"
	NotTaken Result = "late" // the peer did not take it in time
)

// Handover counts one handover by this host.
func (t *Timings) Handover(r Result, took time.Duration) {
	t.handover.WithLabelValues(string(r)).Observe(max(took, 0).Seconds())
}

// collectors are the histograms for a registry.
func (t *Timings) collectors() []prometheus.Collector {
	return []prometheus.Collector{t.lateness, t.failover, t.handover}
}
