package check

// ICMP sends an echo request and waits for the reply.
type ICMP struct {
	Target    string // IPv4 or IPv6 address
	Source    string // local address, "" = any
	Interface string // to send by and receive on, "" = as routed; needed for a link-local Target
}

// Type implements [Spec].
func (ICMP) Type() string { return "icmp" }
