package check

// DNS asks a name server one question.
type DNS struct {
	Server string // IP:port
	Source string // local address, "" = any
	TCP    bool   // ask over TCP at once, not only after a truncated answer

	Name   string // what to ask for, absolute with or without its last dot
	Record string // the type of record, of [RecordTypes]

	Rcode      string // the answer must have this code, of [Rcodes]
	MinAnswers int    // and at least so many records of that type, 0 or more
	Answer     string // and this value among them, "" = any
}

// Type implements [Spec].
func (DNS) Type() string { return "dns" }

// RecordTypes are the types of records that a check can ask for.
func RecordTypes() []string {
	return []string{"A", "AAAA", "ANY", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV", "SVCB", "TLSA", "TXT"}
}

// Rcodes are the codes of answers that a check can expect.
func Rcodes() []string {
	return []string{"FORMERR", "NOERROR", "NOTAUTH", "NOTIMP", "NXDOMAIN", "REFUSED", "SERVFAIL"}
}
