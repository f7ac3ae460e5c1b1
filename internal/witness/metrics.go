package witness

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is the page of a Server for Prometheus.
func Metrics(s *Server) http.Handler {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector{s})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

type collector struct{ server *Server }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("vipd_witness_"+name, help, labels, nil)
}

var (
	descReceived = desc("datagrams_received_total", "Datagrams that came in.")
	descSent     = desc("datagrams_sent_total", "Datagrams that were answered.")
	descRefused  = desc("datagrams_refused_total", "Datagrams that were not believed, by cause.", "cause")
	descLimited  = desc("datagrams_limited_total", "Datagrams of addresses that send too many.")
	descCrowded  = desc("datagrams_crowded_total", "Datagrams of hosts that there was no room for.")
	descGranted  = desc("votes_granted_total", "Votes that were promised, renewals included.")
	descReleased = desc("votes_released_total", "Votes that were handed back.")
	descDenied   = desc("votes_refused_total", "Votes that were not promised, by reason.", "why")
	descHosts    = desc("hosts", "Hosts that it knows.")
	descVotes    = desc("votes", "VIPs that it has a vote for in mind.")
	descReady    = desc("ready_timestamp_seconds", "When it began, or begins, to grant: it sits out when it has started.")
)

// Describe names all metrics.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descReceived, descSent, descRefused, descLimited, descCrowded, descGranted, descReleased, descDenied, descHosts, descVotes, descReady} {
		out <- d
	}
}

// Collect reads the counters.
func (c collector) Collect(out chan<- prometheus.Metric) {
	n := c.server.Counters()
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge := func(d *prometheus.Desc, value float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	counter(descReceived, n.Received)
	counter(descSent, n.Sent)
	counter(descLimited, n.Limited)
	counter(descCrowded, n.Crowded)
	counter(descGranted, n.Granted)
	counter(descReleased, n.Released)
	for cause, count := range n.Refused {
		counter(descRefused, count, string(cause))
	}
	for why, count := range n.Denied {
		counter(descDenied, count, why.String())
	}
	gauge(descHosts, float64(n.Hosts))
	gauge(descVotes, float64(n.Votes))
	gauge(descReady, float64(n.Ready.UnixMilli())/1e3)
}
