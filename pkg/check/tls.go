package check

import "time"

// TLS connects to an address, makes a TLS handshake and looks at the certificate.
type TLS struct {
	Address string // host:port, or unix:/path of a socket
	Source  string // local address, "" = any
	Trust   Trust

	// How long the certificate must be good for: with less than WarnBelow left
	// the result says so, with less than FailBelow it is bad. With less than
	// nothing left it is bad anyway.
	WarnBelow, FailBelow time.Duration
}

// Type implements [Spec].
func (TLS) Type() string { return "tls" }

// Trust says whose certificate a probe believes.
type Trust struct {
	ServerName string // asked for by SNI and sought in the certificate, "" = the host that is asked
	CAFile     string // certificates of authorities in PEM, "" = those of the system
	Insecure   bool   // believe any certificate
}
