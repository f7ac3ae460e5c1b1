package check

// GRPC asks a gRPC server for the health of a service, by the protocol
// grpc.health.v1. SERVING is good.
type GRPC struct {
	Address string // host:port, or unix:/path of a socket
	Source  string // local address, "" = any
	Service string // "" = the server as a whole
	TLS     bool
	Trust   Trust // with TLS
}

// Type implements [Spec].
func (GRPC) Type() string { return "grpc" }
