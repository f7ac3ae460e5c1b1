package check

// TCP connects to an address.
type TCP struct {
	Address string // host:port
	Source  string // local address, "" = any
}

// Type implements [Spec].
func (TCP) Type() string { return "tcp" }
