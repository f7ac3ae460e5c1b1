package config

// pairRows are the keys of the channel between hosts.
var pairRows = []key{
	{path: "pair.listen", kind: text{what: "IP address and port, or :port", check: checkListen}, def: `":5798"`,
		doc: "UDP port, and address, on which the other hosts are heard; :port is all addresses of both families."},
	{path: "pair.key_file", kind: secretText, none: required,
		doc:  "File with the key that all hosts share, or the bare name of a systemd credential: 32 random bytes or more, or \"hex:\" and their digits.",
		also: []string{"key", "keyfile", "authkey"}},
	{path: "pair.interval", kind: pairInterval{}, def: `"auto"`,
		doc:  "Time between two messages to each host; auto: the shortest advert_interval, but 30ms at least and 100ms at most. A dead host counts as silent after 3.5 of it.",
		also: []string{"heartbeat_interval"}},
	{path: "peer.*.addresses", kind: list{peerAddress{}}, none: required,
		doc:  "Addresses of the other host, 1–8, each a path of its own: it counts as alive while it is heard on any of them. Without a port that of pair.listen.",
		also: []string{"address", "paths"}},
}
