package doctor

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pair is a host of a pair as it should be.
func pair() (Needs, Facts) {
	n := Needs{
		VIPs: []VIP{{Name: "web", Interface: "eth0", VRID: 51, Interval: time.Second,
			Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8::10/64")}}},
		Socket: "/run/vipd/vipd.sock", AdminGroup: "vipd-admin", Zone: "rack-12", Paired: true,
	}
	f := Facts{
		Kernel: "6.1.0-18-amd64", Config: map[string]string{"CONFIG_NETFILTER_EGRESS": "y"},
		Zones:  map[string]string{"lb2": "rack-13"},
		Daemon: true, Caps: 1<<capNetAdmin | 1<<capNetRaw,
		Links:   map[string]Link{"eth0": {Index: 2, Up: true, MTU: 1500, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}}},
		Sysctls: map[string]int{"net/ipv6/conf/eth0/accept_dad": 1},
		NFT:     []byte(`{"nftables": []}`), Clock: Clock{Known: true, Synced: true, Error: time.Millisecond},
		Secrets: []File{{Path: "/etc/vipd/credentials", Dir: true, Perm: 0o700}, {Path: "/etc/vipd/credentials/bgp-tor", Perm: 0o600}},
		Socket:  &File{Path: "/run/vipd/vipd.sock", Perm: 0o660}, Groups: []string{"root", "vipd-admin"}, Journal: true,
		Probed: map[netip.Addr][]string{}, Listens: true,
	}
	return n, f
}

// TestWell: a host as it should be passes every check.
func TestWell(t *testing.T) {
	t.Parallel()
	list := Examine(pair())
	if len(list) != len(checks) {
		t.Errorf("%d findings of %d checks", len(list), len(checks))
	}
	for _, found := range list {
		if found.Level != Pass || found.Fix != "" || found.Text == "" {
			t.Errorf("%+v", found)
		}
	}
	if Worst(list) != Pass || Worst(nil) != Pass {
		t.Error("not well")
	}
}

// TestRestart says what a restart keeps.
func TestRestart(t *testing.T) {
	t.Parallel()
	n, f := pair()
	for _, c := range []struct {
		keep bool
		held map[string]string
		want string
	}{
		{false, nil, `a restart releases every vip (node.on_stop = "release"): a peer takes it`},
		{true, map[string]string{}, "a restart keeps vips in place, and none is held here"},
		{true, map[string]string{"web": ""}, "a restart keeps web in place; vipd drain --wait before the host itself goes down"},
	} {
		n.Keep, n.VIPs[0].Keepable, f.Held = c.keep, true, c.held
		if diff := cmp.Diff([]Finding{{Level: Pass, Text: c.want}}, restart(n, f)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	n.VIPs = nil
	if got := restart(n, f); got[0].Text != "no vip that a restart could move" {
		t.Errorf("%+v", got)
	}
}

// v6 makes the election run over IPv6.
func v6(n *Needs) {
	n.VIPs[0].Addresses = []netip.Prefix{netip.MustParsePrefix("fe80::10/64")}
}

// TestFindings: one thing is wrong each time, and one finding says so.
func TestFindings(t *testing.T) {
	t.Parallel()
	link := func(f *Facts, change func(*Link)) {
		l := f.Links["eth0"]
		change(&l)
		f.Links["eth0"] = l
	}
	for name, c := range map[string]struct {
		change func(n *Needs, f *Facts)
		want   string // CHECK LEVEL part of the text
		fix    string
	}{
		"old kernel":   {func(_ *Needs, f *Facts) { f.Kernel = "4.19.0" }, "kernel fail 4.19.0 is too old", "5.10"},
		"kernel 5.10":  {func(_ *Needs, f *Facts) { f.Kernel = "5.10.0-28" }, "kernel warn no netdev egress", "5.16"},
		"no egress":    {func(_ *Needs, f *Facts) { f.Config = map[string]string{} }, "kernel warn no netdev egress", "CONFIG_NETFILTER_EGRESS"},
		"strange":      {func(_ *Needs, f *Facts) { f.Kernel = "" }, "kernel skip not known", ""},
		"no daemon":    {func(_ *Needs, f *Facts) { f.Daemon = false }, "capabilities skip no daemon", "start vipd"},
		"no raw":       {func(_ *Needs, f *Facts) { f.Caps = 1 << capNetAdmin }, "capabilities fail lacks CAP_NET_RAW", "AmbientCapabilities"},
		"port 179":     {func(n *Needs, _ *Facts) { n.ListenBGP = true }, "capabilities fail lacks CAP_NET_BIND_SERVICE", "AmbientCapabilities"},
		"no interface": {func(n *Needs, _ *Facts) { n.VIPs[0].Interface = "eth7" }, "interfaces fail no interface eth7", "cable"},
		"down":         {func(_ *Needs, f *Facts) { link(f, func(l *Link) { l.Up = false }) }, "interfaces fail eth0 is down", "ip link set eth0 up"},
		"no device":    {func(n *Needs, _ *Facts) { n.Anycast = []Anycast{{"dns", "lo1"}} }, "interfaces fail anycast dns: there is no interface lo1", "ip link"},
		"no own":       {func(_ *Needs, f *Facts) { link(f, func(l *Link) { l.Addresses = nil }) }, "addresses warn no address of its own in the network of 192.0.2.10/24", "/24 dev eth0"},
		"vip is no own": {func(_ *Needs, f *Facts) {
			link(f, func(l *Link) { l.Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")} })
		}, "addresses warn no address of its own", ""},
		"no link-local": {func(n *Needs, _ *Facts) { v6(n) }, "addresses fail no link-local", "addrgenmode"},
		"arp_ignore":    {func(_ *Needs, f *Facts) { f.Sysctls["net/ipv4/conf/all/arp_ignore"] = 8 }, "sysctls fail answers no ARP", "arp_ignore=0"},
		"no IPv6":       {func(_ *Needs, f *Facts) { f.Sysctls["net/ipv6/conf/eth0/disable_ipv6"] = 1 }, "sysctls fail IPv6 is disabled on eth0", "disable_ipv6=0"},
		"strict dad":    {func(_ *Needs, f *Facts) { f.Sysctls["net/ipv6/conf/eth0/accept_dad"] = 2 }, "sysctls warn accept_dad is 2", "accept_dad=1"},
		"strict rp":     {func(n *Needs, f *Facts) { n.Neighbors = 2; f.Sysctls["net/ipv4/conf/all/rp_filter"] = 1 }, "sysctls warn rp_filter is strict", "rp_filter=2"},
		"snooping": {func(n *Needs, f *Facts) {
			v6(n)
			link(f, func(l *Link) {
				l.Addresses = []netip.Prefix{netip.MustParsePrefix("fe80::2/64")}
				l.Bridge = &Bridge{Snooping: true}
			})
		}, "snooping warn ff02::12", "multicast_querier"},
		"mtu": {func(_ *Needs, f *Facts) {
			f.Links["eth1"] = Link{Up: true, MTU: 1400}
			link(f, func(l *Link) { l.Below = []string{"eth1"} })
		}, "mtu warn eth1 below it one of 1400", "ip link set eth1 mtu 1500"},
		"long advert": {func(n *Needs, _ *Facts) {
			for range 400 {
				n.VIPs[0].Addresses = append(n.VIPs[0].Addresses, netip.MustParsePrefix("192.0.2.10/24"))
			}
		}, "mtu fail adverts have 1632 bytes", "several vips"},
		"NetworkManager": {func(_ *Needs, f *Facts) { link(f, func(l *Link) { l.Managed = "NetworkManager" }) }, "managers warn NetworkManager manages eth0", "nmcli"},
		"networkd":       {func(_ *Needs, f *Facts) { link(f, func(l *Link) { l.Managed = "systemd-networkd" }) }, "managers warn systemd-networkd manages eth0", "KeepConfiguration=static"},
		"foreign routes": {func(n *Needs, f *Facts) {
			n.VIPs[0].Routes, f.Networkd = true, Files{"[Network]\nManageForeignRoutes=yes\n"}
		}, "managers warn takes foreign routes away", "ManageForeignRoutes=no"},
		"one zone":     {func(_ *Needs, f *Facts) { f.Zones["lb2"] = "rack-12" }, "zone warn lb2 is in zone rack-12 as well", "another rack"},
		"no zone":      {func(n *Needs, _ *Facts) { n.Zone = "" }, "zone skip nobody said", "rack-12"},
		"silent zone":  {func(_ *Needs, f *Facts) { f.Zones = nil }, "zone skip no daemon answers", ""},
		"no sync":      {func(_ *Needs, f *Facts) { f.Clock.Synced = false }, "clock warn not synchronised", "chrony"},
		"bad clock":    {func(_ *Needs, f *Facts) { f.Clock.Error = 3 * time.Second }, "clock warn wrong by 3s", "chrony"},
		"open secret":  {func(_ *Needs, f *Facts) { f.Secrets[1].Perm = 0o644 }, "secrets fail bgp-tor is open to everybody: mode 0644", "chmod 600 /etc/vipd/credentials/bgp-tor"},
		"group secret": {func(_ *Needs, f *Facts) { f.Secrets[0].Perm = 0o770 }, "secrets warn may write /etc/vipd/credentials", "chmod 700"},
		"no socket":    {func(_ *Needs, f *Facts) { f.Socket = nil }, "socket skip there is no /run/vipd/vipd.sock", ""},
		"open socket":  {func(_ *Needs, f *Facts) { f.Socket.Perm = 0o666 }, "socket warn mode 0666", "chmod 660"},
		"no group":     {func(_ *Needs, f *Facts) { f.Groups = []string{"root"} }, "socket warn group vipd-admin", "groupadd"},
		"volatile":     {func(_ *Needs, f *Facts) { f.Journal = false }, "journal warn forgets", "/var/log/journal"},
		"fast":         {func(n *Needs, _ *Facts) { n.VIPs[0].Interval = 100 * time.Microsecond }, "capacity warn 10000 adverts a second", "longer"},
		"conntrack":    {func(_ *Needs, f *Facts) { f.Tracked, f.TrackedMax = 81, 100 }, "capacity warn 81 of 100", "nf_conntrack_max=200"},
		"not asked":    {func(_ *Needs, f *Facts) { f.Probed = nil }, "conflict skip nobody was asked", "--probe"},
		"two holders": {func(_ *Needs, f *Facts) {
			f.Probed[netip.MustParseAddr("192.0.2.10")] = []string{"02:00:00:00:00:01", "02:00:00:00:00:02"}
		}, "conflict fail 02:00:00:00:00:01 and 02:00:00:00:00:02 answer for 192.0.2.10", "switches"},
		"not alone": {func(_ *Needs, f *Facts) {
			link(f, func(l *Link) { l.Addresses = append(l.Addresses, netip.MustParsePrefix("192.0.2.10/24")) })
			f.Probed[netip.MustParseAddr("192.0.2.10")] = []string{"02:00:00:00:00:01"}
		}, "conflict fail answers for it as well", "vipd why web"},
		"not heard": {func(_ *Needs, f *Facts) { f.Listens = false }, "vrid skip nobody listened", "--listen"},
		"twice": {func(_ *Needs, f *Facts) {
			for _, a := range []string{"192.0.2.3", "192.0.2.99", "192.0.2.3"} {
				f.Heard = append(f.Heard, Advert{"eth0", netip.MustParseAddr(a), 51, 100})
			}
		}, "vrid fail 192.0.2.3 and 192.0.2.99 advertise vrid 51", "another vrid"},
		"not alone in it": {func(_ *Needs, f *Facts) {
			link(f, func(l *Link) { l.Addresses = append(l.Addresses, netip.MustParsePrefix("192.0.2.10/24")) })
			for _, a := range []string{"192.0.2.2", "192.0.2.3"} { // the first one is its own
				f.Heard = append(f.Heard, Advert{"eth0", netip.MustParseAddr(a), 51, 100})
			}
		}, "vrid fail 192.0.2.3 and this host advertise vrid 51", "another vrid"},
		"keeps, and no daemon": {func(n *Needs, _ *Facts) { n.Keep, n.VIPs[0].Keepable = true, true }, "restart skip no daemon answers", ""},
		"keeps not yet": {func(n *Needs, f *Facts) {
			n.Keep, n.VIPs[0].Keepable, f.Held = true, true, map[string]string{"web": "it is being handed over"}
		}, "restart warn would release web now: it is being handed over", "drain"},
		"cannot be kept": {func(n *Needs, f *Facts) { n.Keep, f.Held = true, map[string]string{} }, "restart warn a restart releases web: it keeps only", "drain"},
		"keeps what is too fast": {func(n *Needs, f *Facts) {
			n.Keep, n.VIPs[0].Keepable, n.VIPs[0].Interval, f.Held = true, true, 50*time.Millisecond, map[string]string{}
		}, "restart warn more than 125ms gives web up", "longer"},
		"no nft": {func(_ *Needs, f *Facts) { f.NFT, f.NFTError = nil, "not permitted" }, "firewall skip not permitted", "as root"},
		"legacy": {func(_ *Needs, f *Facts) { f.Legacy = true }, "firewall warn iptables-legacy", "iptables-legacy-save"},
	} {
		n, f := pair()
		c.change(&n, &f)
		var bad []Finding
		for _, found := range Examine(n, f) {
			if found.Level != Pass {
				bad = append(bad, found)
			}
		}
		if len(bad) == 0 || len(bad) > 1 && name != "no interface" {
			t.Errorf("%s: %+v", name, bad)
			continue
		}
		words := strings.SplitN(c.want, " ", 3)
		if got := bad[0]; got.Check != words[0] || got.Level.String() != words[1] || !strings.Contains(got.Text, words[2]) || !strings.Contains(got.Fix, c.fix) {
			t.Errorf("%s: %+v, want %s (%s)", name, got, c.want, c.fix)
		}
	}
}

// nft writes a table with a chain at the input hook, from rules in JSON.
func nft(policy string, rules ...string) []byte {
	text := `{"nftables": [{"metainfo": {}}, {"table": {"family": "inet", "name": "filter"}},
		{"chain": {"family": "inet", "table": "filter", "name": "input", "hook": "input", "policy": "` + policy + `"}},
		{"chain": {"family": "inet", "table": "filter", "name": "forward", "hook": "forward", "policy": "drop"}},
		{"chain": {"family": "inet", "table": "filter", "name": "more"}}`
	for _, rule := range rules {
		chain, expr, _ := strings.Cut(rule, ": ")
		text += `, {"rule": {"family": "inet", "table": "filter", "chain": "` + chain + `", "expr": [` + expr + `]}}`
	}
	return []byte(text + "]}")
}

// TestFirewall: what becomes of an advert, and of a packet of the pair channel.
func TestFirewall(t *testing.T) {
	t.Parallel()
	match := func(left, right string) string {
		return `{"match": {"op": "==", "left": {` + left + `}, "right": ` + right + `}}`
	}
	var (
		vrrp    = match(`"payload": {"protocol": "ip", "field": "protocol"}`, `"vrrp"`)
		number  = match(`"meta": {"key": "l4proto"}`, `{"set": [112, "icmp"]}`)
		state   = match(`"ct": {"key": "state"}`, `["established", "related"]`)
		eth0    = match(`"meta": {"key": "iifname"}`, `"eth0"`)
		eth1    = match(`"meta": {"key": "iifname"}`, `"eth1"`)
		lo      = match(`"meta": {"key": "iif"}`, `"lo"`)
		source  = match(`"payload": {"protocol": "ip", "field": "saddr"}`, `{"prefix": {"addr": "192.0.2.0", "len": 24}}`)
		channel = match(`"payload": {"protocol": "udp", "field": "dport"}`, `{"set": [53, {"range": [5790, 5800]}]}`)
		ssh     = match(`"payload": {"protocol": "tcp", "field": "dport"}`, `22`)
	)
	const accept, drop = `, {"accept": null}`, `, {"drop": null}`
	for name, c := range map[string]struct {
		rules []byte
		want  []Level // of VRRP and the pair channel
	}{
		"none":             {nft("accept"), []Level{Pass, Pass}},
		"policy":           {nft("drop", "input: "+state+accept, "input: "+lo+accept, "input: "+ssh+accept), []Level{Fail, Fail}},
		"let in":           {nft("drop", "input: "+vrrp+accept, "input: "+channel+accept), []Level{Pass, Pass}},
		"by number":        {nft("drop", "input: "+number+accept), []Level{Pass, Fail}},
		"on its interface": {nft("drop", "input: "+eth0+", "+vrrp+accept), []Level{Pass, Fail}},
		"on another one":   {nft("drop", "input: "+eth1+", "+vrrp+accept), []Level{Fail, Fail}},
		"dropped":          {nft("accept", "input: "+vrrp+drop), []Level{Fail, Pass}},
		"too late":         {nft("accept", "input: "+vrrp+drop, "input: "+vrrp+accept), []Level{Fail, Pass}},
		"by source":        {nft("drop", "input: "+source+", "+vrrp+accept), []Level{Warn, Fail}},
		"source, accept":   {nft("accept", "input: "+source+accept), []Level{Pass, Pass}},
		"source, drop":     {nft("accept", "input: "+source+drop), []Level{Warn, Warn}},
		"unknown":          {nft("drop", `input: {"xt": null}`), []Level{Warn, Warn}},
		"jump":             {nft("drop", `input: {"jump": {"target": "more"}}`, "more: "+vrrp+accept), []Level{Pass, Fail}},
		"jump and back":    {nft("accept", `input: {"jump": {"target": "more"}}`, "more: "+ssh+drop), []Level{Pass, Pass}},
		"endless":          {nft("accept", `input: {"jump": {"target": "more"}}`, `more: {"jump": {"target": "more"}}`), []Level{Warn, Warn}},
		"counted":          {nft("accept", `input: {"counter": {"packets": 1}}, {"reject": null}`), []Level{Fail, Fail}},
	} {
		n, f := pair()
		n.PairPort, f.NFT = 5798, c.rules
		want := map[string]Level{"VRRP": c.want[0], "the": c.want[1]}
		got := map[string]Level{"VRRP": Pass, "the": Pass}
		for _, found := range firewall(n, f) {
			if found.Level != Pass {
				got[strings.Fields(found.Text)[0]] = found.Level
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	n, f := pair()
	f.NFT = []byte("{")
	if list := firewall(n, f); list[0].Level != Skip {
		t.Errorf("%+v", list)
	}
}
