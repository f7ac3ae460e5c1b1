// Package metrics is the page /metrics: a status and what the daemon timed, in
// the text format of Prometheus.
//
// Most of it is a picture: each scrape asks the [control.Source] for its status
// and prints that, so that metrics, `vipd status` and the JSON documents never
// disagree. What a picture cannot hold, how long things took, is counted in
// [Timings] as it happens. The page is served by whoever gets its handler.
//
// docs/metrics.md lists every metric; a test writes and compares it.
package metrics
