package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/check"
)

// TLS makes a TLS handshake and looks how long the certificate is good for.
func TLS(ctx context.Context, t check.TLS, _ Settings) Result {
	start := time.Now()
	conn, hangUp, err := dial(ctx, t.Address, t.Source)
	if err != nil {
		return Result{Detail: err.Error(), Took: time.Since(start)}
	}
	defer hangUp()
	secure, err := handshake(ctx, conn, trustFor(t.Trust, t.Address))
	if err != nil {
		return Result{Detail: fmt.Sprintf("TLS with %s: %v", t.Address, err)}
	}
	res := lifetime(secure.ConnectionState(), t, time.Now())
	res.Took = time.Since(start)
	if res.OK {
		farewell(ctx, secure)
	}
	return res
}

// exchanges are the key exchanges that probes offer. Those against quantum
// computers would double the cost of every probe, and what a probe says is not
// worth keeping for their day.
var exchanges = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

// handshake makes conn secure, for one of the protocols if any are named. Its
// deadline is that of conn, so that nobody has to watch ctx meanwhile.
func handshake(ctx context.Context, conn net.Conn, trust check.Trust, protocols ...string) (*tls.Conn, error) {
	within := limit(ctx)
	cfg := &tls.Config{
		ServerName:         trust.ServerName,
		NextProtos:         protocols,
		InsecureSkipVerify: trust.Insecure,
		CurvePreferences:   exchanges,
	}
	if trust.CAFile != "" {
		pool, err := authorities.read(trust.CAFile)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = pool
	}
	secure := tls.Client(conn, cfg)
	if err := secure.Handshake(); err != nil {
		return nil, errors.New(explainTLS(err, within))
	}
	return secure, nil
}

// explainTLS is explain for what a handshake says.
func explainTLS(err error, within time.Duration) string {
	record := tls.RecordHeaderError{}
	if errors.As(err, &record) {
		return fmt.Sprintf("no TLS but %q", record.RecordHeader[:])
	}
	why := explain(err, within)
	why = strings.TrimPrefix(strings.TrimPrefix(why, "tls: "), "x509: ")
	if remote := (*net.OpError)(nil); errors.As(err, &remote) && remote.Op == "remote error" {
		why = "the server refuses: " + why
	}
	return why
}

// lifetime judges how long the certificates of a connection are good for.
func lifetime(state tls.ConnectionState, t check.TLS, now time.Time) Result {
	end := notAfter(state)
	left := end.Sub(now)
	said := fmt.Sprintf("certificate ends in %s, on %s", span(left), end.UTC().Format(time.DateOnly))
	switch {
	case left < 0:
		return Result{Detail: fmt.Sprintf("certificate ended on %s", end.UTC().Format(time.DateOnly))}
	case left < t.FailBelow:
		return Result{Detail: fmt.Sprintf("%s: less than %s", said, span(t.FailBelow))}
	case left < t.WarnBelow:
		return Result{OK: true, Detail: fmt.Sprintf("warning: %s: less than %s", said, span(t.WarnBelow))}
	}
	return Result{OK: true, Detail: fmt.Sprintf("%s, %s", tls.VersionName(state.Version), said)}
}

// notAfter is when the first certificate of the chain ends; of several chains
// the one that lasts longest counts, as it does for a client. Without any
// verified chain it is that of the server's own certificate.
func notAfter(state tls.ConnectionState) time.Time {
	end := time.Time{}
	for _, chain := range state.VerifiedChains {
		if t := firstEnd(chain); t.After(end) {
			end = t
		}
	}
	if end.IsZero() {
		end = firstEnd(state.PeerCertificates[:1]) // a server always has one
	}
	return end
}

func firstEnd(chain []*x509.Certificate) time.Time {
	end := chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}

// span is a duration in the one unit that matters: 41d, 20h, 5m, 30s.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%dd", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// trustFor is what a probe of an address believes: without a name of its own,
// it is the host that must have the certificate.
func trustFor(trust check.Trust, address string) check.Trust {
	if trust.ServerName == "" && !isSocket(address) {
		trust.ServerName, _, _ = net.SplitHostPort(address) // it was good enough to connect to
	}
	return trust
}
