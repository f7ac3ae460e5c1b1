package config

import (
	"regexp"
	"strconv"

	"github.com/vipd/vipd/pkg/check"
)

func describeTCP(s settings, t check.TCP) {
	s["address"] = values{t.Address}
	s["source"] = optional(t.Source)
	s["send"] = optional(quoted(t.Send))
	s["expect.text"] = optional(quoted(t.Text))
	s["expect.regexp"] = optional(source(t.Regexp))
}

func describeTLS(s settings, t check.TLS) {
	s["address"] = values{t.Address}
	s["source"] = optional(t.Source)
	s["warn_below"] = values{words(t.WarnBelow)}
	s["fail_below"] = values{words(t.FailBelow)}
	describeTrust(s, t.Trust)
}

func describeGRPC(s settings, g check.GRPC) {
	s["address"] = values{g.Address}
	s["source"] = optional(g.Source)
	s["service"] = optional(g.Service)
	s["tls"] = values{strconv.FormatBool(g.TLS)}
	describeTrust(s, g.Trust)
}

func describeHTTP(s settings, h check.HTTP) {
	s["url"] = values{h.Target()}
	s["source"] = optional(h.Source)
	s["method"] = values{h.Method}
	s["host"] = optional(h.Host)
	for name, value := range h.Headers {
		s["headers."+name] = values{value}
	}
	s["redirects"] = values{strconv.Itoa(h.Redirects)}
	s["expect.status"] = each(h.Status)
	s["expect.body"] = optional(quoted(h.Body))
	s["expect.regexp"] = optional(source(h.Regexp))
	describeTrust(s, h.Trust)
}

func describeTrust(s settings, t check.Trust) {
	s["server_name"] = optional(t.ServerName)
	s["ca_file"] = optional(t.CAFile)
	s["insecure"] = values{strconv.FormatBool(t.Insecure)}
}

// quoted is a text on one line, "" when there is none.
func quoted(text string) string {
	if text == "" {
		return ""
	}
	return strconv.Quote(text)
}

// source is a regular expression as it was written, "" when there is none.
func source(re *regexp.Regexp) string {
	if re == nil {
		return ""
	}
	return re.String()
}
