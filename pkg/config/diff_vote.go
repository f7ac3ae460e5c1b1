package config

import "fmt"

// describeWitnesses adds the voters that are no hosts.
func describeWitnesses(m map[string]settings, c *Config) {
	for _, w := range c.Engine.Witnesses {
		reach := c.Witnesses[w.Name]
		ttl := "auto"
		if w.TTL > 0 {
			ttl = words(w.TTL)
		}
		s := settings{"type": {"vipd"}, "cluster": {w.Cluster}, "ttl": {ttl}, "key": secretly(reach.Key)}
		if w.Etcd {
			s["type"] = values{"etcd"}
			s["endpoints"] = reach.Endpoints
			s["ca_file"], s["cert_file"] = optional(reach.CAFile), optional(reach.CertFile)
		} else {
			s["address"] = values{reach.Address.String()}
		}
		m["witness."+w.Name] = s
	}
}

// newWitnessKeys lists the witnesses whose key is another one.
func newWitnessKeys(from, to *Config) []string {
	var lines []string
	for _, w := range to.Engine.Witnesses {
		was, is := from.Witnesses[w.Name].Key, to.Witnesses[w.Name].Key
		if was != "" && is != "" && was != is {
			lines = append(lines, fmt.Sprintf("witness.%s: another key", w.Name))
		}
	}
	return lines
}
