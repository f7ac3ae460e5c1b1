package config

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Bounds of witness.ttl.
const (
	minWitnessTTL = 100 * time.Millisecond
	maxWitnessTTL = 5 * time.Minute
)

// witnessTTL is a duration in whole milliseconds, or "auto"; its value is a
// time.Duration, 0 for auto.
type witnessTTL struct{}

func (witnessTTL) allowed() string {
	return `"auto", or ` + duration{minWitnessTTL, maxWitnessTTL, false}.allowed()
}

func (k witnessTTL) parse(r *reporter, n *node) (any, bool) {
	if n.value == "auto" {
		return time.Duration(0), true
	}
	v, ok := duration{minWitnessTTL, maxWitnessTTL, false}.parse(r, n)
	if d, is := v.(time.Duration); ok && is && d%time.Millisecond != 0 {
		r.wrong(n, fmt.Sprintf("%s has parts of a millisecond", words(d)), "")
		return nil, false
	}
	return v, ok
}

// checkEndpoint is for members of an etcd.
func checkEndpoint(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https":
		return errors.New(`must begin with "https://" or "http://"`)
	case u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return errors.New(`must name a host and its port alone: "https://10.0.9.7:2379"`)
	}
	return nil
}
