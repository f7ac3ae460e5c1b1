package config

// describePair adds what is said about the channel to other hosts, if anything is.
func describePair(m map[string]settings, c *Config) {
	if c.Engine.Pair == nil {
		return
	}
	interval := "auto"
	if d := c.Engine.Pair.Interval; d > 0 {
		interval = words(d)
	}
	m["pair"] = settings{
		"listen":   {c.Pair.Listen.String()},
		"key":      secretly(c.Pair.Key),
		"interval": {interval},
	}
	for name, addresses := range c.Pair.Peers {
		m["peer."+name] = settings{"addresses": each(addresses)}
	}
}
