package metrics

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

const (
	most    = 16              // pages at once
	patient = 2 * time.Second // how long the source may take
)

// Page is the page /metrics: what the source says, what was timed, and the
// process itself. While the source does not answer, vipd_up is 0 and what the
// source would say is missing.
func Page(src control.Source, timings *Timings) (http.Handler, error) {
	reg := prometheus.NewRegistry()
	for _, c := range append(timings.collectors(), collector{src},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})) {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: most}), nil
}

// collector prints a status as metrics.
type collector struct{ src control.Source }

// desc describes a metric: its name without the prefix, what it says, its labels.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("vipd_"+name, help, labels, nil)
}

// vipDesc describes a metric of one VIP.
func vipDesc(name, help string, labels ...string) *prometheus.Desc {
	return desc("vip_"+name, help, append([]string{"vip", "interface", "vrid", "family"}, labels...)...)
}

var (
	descUp          = desc("up", "Whether the daemon's loop answers; most others are missing while it does not.")
	descReady       = desc("ready", "Whether every VIP takes part in its election, as ACTIVE or BACKUP, and every anycast service is announced.")
	descRestart     = desc("restart_required", "Whether the file has a change that a reload does not apply, or the program was upgraded.")
	descWatchdog    = desc("watchdog_pings_total", "Pings sent to systemd's watchdog.")
	descBuild       = desc("build_info", "Constant 1, labelled with what runs.", "version", "revision", "goversion")
	descConfig      = desc("config_info", "Constant 1, labelled with the digest of the running configuration.", "config_hash")
	descReloadOK    = desc("config_last_reload_successful", "Whether the last reload was applied; 1 while there was none.")
	descUnconfirmed = desc("config_unconfirmed", "Whether the last reload is taken back soon, unless it is confirmed.")
	descReloadTime  = desc("config_last_reload_timestamp_seconds", "When the running configuration was read.")
	descUnsaved     = desc("events_unsaved", "Events that wait for the disk; absent when none are kept over a restart.")
	descLostEvents  = desc("events_dropped_total", "Events that waited too long for the disk; absent when none are kept over a restart.")
	descDrained     = desc("drained", "Whether every VIP and anycast service is drained.")

	descState       = vipDesc("state", "State of the virtual router, 1 for the current one.", "state")
	descHeld        = vipDesc("held", "Whether this host has the addresses.")
	descPresent     = vipDesc("present", "Whether this host has the address.", "address")
	descVIPDrained  = vipDesc("drained", "Whether an operator took the VIP out of service.")
	descPriority    = vipDesc("priority", "Effective priority.")
	descConfigured  = vipDesc("priority_configured", "Configured priority.")
	descActivePrio  = vipDesc("active_priority", "Priority of the other host that is Active; absent when none is heard.")
	descSent        = vipDesc("adverts_sent_total", "Adverts sent.")
	descReceived    = vipDesc("adverts_received_total", "Valid adverts received.")
	descRelSent     = vipDesc("releases_sent_total", "Adverts with priority 0 sent.")
	descRelReceived = vipDesc("releases_received_total", "Adverts with priority 0 received.")
	descTransitions = vipDesc("transitions_total", "Changes of state.", "from", "to", "reason")
	descLast        = vipDesc("last_transition_timestamp_seconds", "When the current state was entered.")
	descInterval    = vipDesc("advert_interval_seconds", "Advertisement_Interval of this host.")
	descDown        = vipDesc("active_down_interval_seconds", "Silence after which this host takes over.")
	descAge         = vipDesc("advert_age_seconds", "Time since the last advert of the other host that is Active; absent when none is heard.")
	descRestored    = vipDesc("addresses_restored_total", "Addresses that somebody else removed and vipd put back.")
	descHeldAnyway  = vipDesc("before_hold_failures_total", "Takeovers that went on although before_hold did not end well.")
	descProven      = desc("seconds_since_proven_failover", "Time since the VIP went from one host to another as it must, or a drill of it passed; +Inf when that is not known.", "vip")
	descContests    = vipDesc("contests_won_total", "Contests won: a lower-priority advert was heard while Active.")

	descLink    = desc("interface_up", "Whether the interface is there, up, and has carrier.", "interface")
	descCheck   = desc("check_up", "Whether the check is up; an unknown one is not.", "check", "type")
	descRuns    = desc("check_runs_total", "Probes made.", "check", "type", "result")
	descMasked  = desc("check_masked", "Whether results of the check do not count, because of its after or while_held.", "check", "type")
	descChanges = desc("check_transitions_total", "How often results made the check up or down.", "check", "to")
	descTook    = desc("check_duration_seconds", "How long probes took.", "check", "type")
	descDropped = desc("vrrp_packets_dropped_total", "VRRP packets that were not believed.", "interface", "family", "reason")
	descGARP    = desc("garp_sent_total", "Gratuitous ARP frames sent.", "interface", "cause")
	descHooks   = desc("notify_runs_total", "Changes told to hooks, by what told them and how that ended.", "kind", "result")
	descHookAge = desc("notify_duration_seconds", "How long programs of hooks took.", "kind")
	descWaiting = desc("notify_queue_length", "Changes that wait for a notify program to end.")
	descNA      = desc("na_sent_total", "Unsolicited neighbour advertisements sent.", "interface", "cause")
)

// Describe implements prometheus.Collector. It sends nothing: which metrics
// there are depends on the configuration.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	doc, err := c.src.Status(ctx)
	m := sink{out}
	m.gauge(descUp, truth(err == nil))
	if err != nil {
		return
	}
	m.gauge(descBuild, 1, doc.Node.Version, doc.Node.Revision, runtime.Version())
	m.gauge(descConfig, 1, doc.Node.Config.Hash)
	m.gauge(descUnconfirmed, truth(!doc.Node.Config.ConfirmBy.IsZero()))
	m.gauge(descReloadOK, truth(doc.Node.Config.LastReloadOK))
	m.gauge(descReloadTime, unixSeconds(doc.Node.Config.Loaded))
	m.gauge(descRestart, truth(doc.Node.Config.RestartRequired || doc.Node.Replaced))
	m.gauge(descReady, truth(len(control.NotReady(doc.Status)) == 0))
	m.gauge(descDrained, truth(doc.Drained))
	m.gauge(descObserving, truth(doc.Node.Observing))
	m.counter(descWatchdog, doc.Node.Watchdog)
	if ev := doc.Node.Events; ev.Path != "" {
		m.gauge(descUnsaved, float64(ev.Unsaved))
		m.counter(descLostEvents, ev.Dropped)
	}
	for _, v := range doc.VIPs {
		if m.observed(v); doc.Node.Observing {
			continue // this host has no part in it
		}
		m.vip(v, doc.Now)
		if doc.Pair != nil {
			m.gauge(descStandby, float64(control.ReadyPeers(doc.Status, v.Name)), v.Name, v.Interface, strconv.Itoa(int(v.VRID)), v.Family)
		}
	}
	m.pair(doc.Pair, doc.Node.Edge.Pair)
	for _, v := range doc.Services {
		m.service(v)
	}
	m.voters(doc)
	m.bgp(doc.BGP)
	for _, f := range doc.Fences {
		m.fence(f, doc.Now)
	}
	for _, l := range doc.Links {
		m.gauge(descLink, truth(l.Present && l.Up), l.Name)
	}
	for _, k := range doc.Checks {
		m.check(k)
	}
	for _, d := range doc.Node.Edge.Dropped {
		m.counter(descDropped, d.Count, d.Interface, d.Family, d.Reason)
	}
	for _, n := range doc.Node.Edge.GARP {
		m.counter(descGARP, n.Count, n.Interface, n.Cause)
	}
	for _, n := range doc.Node.Edge.NA {
		m.counter(descNA, n.Count, n.Interface, n.Cause)
	}
	m.gauge(descWaiting, float64(doc.Node.Edge.Waiting))
	for _, h := range doc.Node.Edge.Hooks {
		for result, n := range h.Ends {
			m.counter(descHooks, n, h.Kind, result)
		}
		if h.Runs > 0 {
			out <- prometheus.MustNewConstSummary(descHookAge, h.Runs, h.Took.Seconds(), nil, h.Kind)
		}
	}
}

// sink takes metrics.
type sink struct{ out chan<- prometheus.Metric }

// gauge sends a value that goes up and down.
func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// counter sends a value that only grows.
func (s sink) counter(d *prometheus.Desc, v uint64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// check sends everything about one check. A group has no probes to count.
func (s sink) check(c engine.CheckStatus) {
	s.gauge(descCheck, truth(c.State == "up"), c.Name, c.Type)
	s.gauge(descMasked, truth(c.Masked != ""), c.Name, c.Type)
	s.counter(descChanges, c.BecameUp, c.Name, "up")
	s.counter(descChanges, c.BecameDown, c.Name, "down")
	if c.Group != nil {
		return
	}
	s.counter(descRuns, c.Runs-min(c.Runs, c.Failures), c.Name, c.Type, "ok")
	s.counter(descRuns, c.Failures, c.Name, c.Type, "failed")
	if c.Watched {
		return
	}
	buckets, sum := make(map[float64]uint64, len(engine.DurationBounds)), uint64(0)
	for i, bound := range engine.DurationBounds {
		sum += c.Durations.Counts[i]
		buckets[bound.Seconds()] = sum
	}
	s.out <- prometheus.MustNewConstHistogram(descTook, c.Durations.Count, c.Durations.Sum.Seconds(), buckets, c.Name, c.Type)
}

// vip sends everything about one VIP.
func (s sink) vip(v engine.VIPStatus, now time.Time) {
	id := []string{v.Name, v.Interface, strconv.Itoa(int(v.VRID)), v.Family}
	with := func(more ...string) []string { return append(id[:len(id):len(id)], more...) }
	for _, state := range []engine.State{engine.Initialize, engine.Fault, engine.Backup, engine.Active} {
		s.gauge(descState, truth(v.State == state), with(strings.ToLower(string(state)))...)
	}
	s.gauge(descHeld, truth(v.Held), id...)
	s.votes(v, id)
	for _, p := range v.Addresses {
		s.gauge(descPresent, truth(v.Held), with(p.Addr().String())...)
	}
	s.gauge(descVIPDrained, truth(v.Drained != nil), id...)
	s.gauge(descPriority, float64(v.Priority.Effective), id...)
	s.gauge(descConfigured, float64(v.Priority.Configured), id...)
	if v.Active != nil {
		s.gauge(descActivePrio, float64(v.Active.Priority), id...)
		s.gauge(descAge, now.Sub(v.Active.Heard).Seconds(), id...)
	}
	s.counter(descSent, v.AdvertsSent, id...)
	s.counter(descReceived, v.AdvertsReceived, id...)
	s.counter(descRelSent, v.ReleasesSent, id...)
	s.counter(descRelReceived, v.ReleasesReceived, id...)
	for change, n := range v.Transitions {
		if f := strings.Fields(strings.ToLower(change)); len(f) == 3 {
			s.counter(descTransitions, n, with(f...)...)
		}
	}
	proven := math.Inf(1)
	if !v.Proven.IsZero() {
		proven = now.Sub(v.Proven).Seconds()
	}
	s.gauge(descProven, proven, v.Name)
	s.gauge(descLast, unixSeconds(v.Since), id...)
	s.gauge(descInterval, v.Interval.Seconds(), id...)
	s.gauge(descDown, v.ActiveDown.Seconds(), id...)
	s.counter(descRestored, v.LostRestored, id...)
	s.counter(descContests, v.Contests, id...)
	s.counter(descHeldAnyway, v.HeldAnyway, id...)
	s.lease(v, id, with)
}

// truth is 1 or 0.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// unixSeconds is a time as Prometheus has it, 0 for none.
func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1e3
}
