package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vipd/vipd/pkg/vote"
)

// Witness is how a voter that is no host is reached. What decides is in
// Engine.Witnesses.
type Witness struct {
	Address netip.AddrPort // of a vipd witness
	Key     Secret         // of a vipd witness, its bytes; of an etcd the private key of CertFile, in PEM, "" = none

	Endpoints []string // of an etcd: its members; none = it is a vipd witness
	CAFile    string   // "" = the certificates of the system
	CertFile  string   // "" = no certificate
}

// witnessPort is the port of a vipd witness.
const witnessPort = 5798

// witnesses fills in the voters that are no hosts.
func (b *builder) witnesses(c *Config) {
	for _, s := range b.sections("witness") {
		w := vote.Witness{Name: s.node.name, Cluster: get[string](s, "cluster"), TTL: get[time.Duration](s, "ttl"), Etcd: get[string](s, "type") == "etcd"}
		c.Engine.Witnesses = append(c.Engine.Witnesses, w)
		reach := Witness{Address: get[netip.AddrPort](s, "address")}
		if reach.Address.IsValid() && reach.Address.Port() == 0 {
			reach.Address = netip.AddrPortFrom(reach.Address.Addr(), witnessPort)
		}
		if w.Etcd {
			reach = Witness{
				Key: b.privateKey(s), Endpoints: getList[string](s, "endpoints"),
				CAFile: get[string](s, "ca_file"), CertFile: get[string](s, "cert_file"),
			}
		} else {
			reach.Key = b.pairKey(s)
		}
		if c.Witnesses == nil {
			c.Witnesses = map[string]Witness{}
		}
		c.Witnesses[w.Name] = reach
	}
	slices.SortFunc(c.Engine.Witnesses, func(a, b vote.Witness) int { return strings.Compare(a.Name, b.Name) })
}

// privateKey reads what belongs to the certificate.
func (b *builder) privateKey(s section) Secret {
	n, name := s.find("key_file"), get[string](s, "key_file")
	if n == nil || name == "" {
		return ""
	}
	text, err := b.reader.Secret(name)
	if err != nil {
		b.wrong(n, cause(err).Error(), "")
		return ""
	}
	return Secret(text)
}
