package config

// witnessRows are the keys of voters that are no hosts.
var witnessRows = []key{
	{path: "witness.*.type", kind: choice{"vipd", "etcd"}, def: `"vipd"`,
		doc: "A vipd witness on a third machine, or an etcd, which is a majority by itself."},
	{path: "witness.*.address", kind: peerAddress{}, none: "required for type vipd",
		doc: "Address of the vipd witness, without a port 5798.", also: []string{"host"}},
	{path: "witness.*.key_file", kind: secretText, none: "required for type vipd",
		doc: "Type vipd: file with the key that it shares with the hosts, as for pair.key_file. Type etcd: the private key of cert_file, in PEM."},
	{path: "witness.*.cluster", kind: nameText, def: `"vipd"`,
		doc:  "Hosts that vote together have the same one; others that ask the same witness with the same key, or the same etcd, have another one.",
		also: []string{"cluster_name"}},
	{path: "witness.*.ttl", kind: witnessTTL{}, def: `"auto"`,
		doc:  "How long each promise of its vote lasts. auto: two leases and three adverts, so that two lost renewals do no harm: 851ms at adverts every 100ms; for etcd 5s at least.",
		also: []string{"lease_duration"}},
	{path: "witness.*.endpoints", kind: list{text{what: "a URL, http or https", check: checkEndpoint}}, none: "required for type etcd",
		doc: "Type etcd: where its members are asked, 1–9."},
	{path: "witness.*.ca_file", kind: pathText, none: "the certificates of the system",
		doc: "Type etcd: file with the certificates, in PEM, that those of its members are checked by.", also: []string{"trusted_ca_file", "cacert"}},
	{path: "witness.*.cert_file", kind: pathText, none: "no certificate of its own",
		doc: "Type etcd: file with the certificate, in PEM, that this host shows.", also: []string{"cert"}},
}
