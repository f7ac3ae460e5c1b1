package config

import (
	"slices"
	"sync"
	"time"
)

// key is one row of the table of keys: everything that the checker, the hints,
// reference.toml and vipd.toml(5) say about it.
type key struct {
	path string // pattern: * is any name, [] an element of a list
	kind kind
	def  string   // the default as TOML; "" = absent says what happens
	none string   // what it means that a key without a default is absent
	doc  string   // one sentence
	rfc  string   // the standard's name for it, and where that is defined
	also []string // what others call it: keepalived, FRR
	only []string // the types of check that have it; none = every one

	polled bool // not for types of check that are watched
	secret bool // never shown
}

// table is one row of the tables, with what others call it.
type tableRow struct {
	path string
	also []string
}

var tables = []tableRow{
	{path: ""},
	{path: "node", also: []string{"global_defs", "global"}},
	{path: "control"},
	{path: "metrics"},
	{path: "vip"},
	{path: "vip.*", also: []string{"vrrp_instance", "vrrp", "virtual_router"}},
	{path: "vip.*.garp"},
	{path: "vip.*.auth", also: []string{"auth_hmac", "authentication"}},
	{path: "vip.*.routes[]"},
	{path: "vip_defaults", also: []string{"vrrp_defaults"}},
	{path: "sync"},
	{path: "sync.*", also: []string{"vrrp_sync_group", "sync_group"}},
	{path: "check"},
	{path: "check.*.hold_down"},
	{path: "check.*", also: []string{"vrrp_script", "vrrp_track_file", "track_file", "vrrp_track_process"}},
	{path: "check.*.expect"},
	{path: "bgp", also: []string{"router_bgp", "protocol_bgp"}},
	{path: "bgp.drain", also: []string{"graceful_shutdown"}},
	{path: "bgp.graceful_restart"},
	{path: "bgp.withdraw_budget"},
	{path: "bgp.group"},
	{path: "bgp.group.*", also: []string{"peer_group", "template_bgp"}},
	{path: "bgp.neighbor"},
	{path: "bgp.neighbor.*", also: []string{"peer", "bgp_neighbor", "bgp_peer"}},
	{path: "bfd", also: []string{"bfd_instance"}},
	{path: "bfd.*"},
	{path: "anycast", also: []string{"service", "network"}},
	{path: "anycast.*"},
	{path: "pair"},
	{path: "peer"},
	{path: "peer.*"},
	{path: "fence", also: []string{"fencing", "stonith"}},
	{path: "fence.verify"},
	{path: "fence.rate"},
	{path: "fence.device"},
	{path: "fence.device.*", also: []string{"fence_device", "stonith_resource"}},
	{path: "witness"},
	{path: "witness.*", also: []string{"qdevice", "quorum"}},
}

const required = "required"

var (
	nameText      = text{what: "a name: letters, digits, . _ -", check: checkName}
	interfaceText = text{what: "an interface name, 1–15 characters", check: checkInterface}
	pathText      = text{what: "an absolute path", check: checkPath}
	userText      = text{what: "a user, by name or number", check: checkUser}
	groupText     = text{what: "a group, by name or number", check: checkUser}
	argument      = text{what: "a string", free: true}
)

// keyRows is the table of keys, in the order of the manual.
var keyRows = slices.Concat(generalRows, authRows, hookRows("vip.*"), groupRows, hookRows("sync.*"), checkRows, bgpRows, anycastRows, pairRows, fenceRows, witnessRows)

var generalRows = []key{
	{path: "include", kind: list{text{what: "a file name or pattern"}}, none: "no other files",
		doc: "Files to read as well, relative to this file; patterns are sorted, and the same key in two files is an error."},

	{path: "node.name", kind: nameText, none: "the short hostname",
		doc:  "Name of this host in status, events and metrics.",
		also: []string{"router_id", "node_name"}},
	{path: "node.zone", kind: nameText, none: "not known",
		doc: "Failure domain of this host: its rack, room or power feed. Hosts of a pair that name the same one are warned about by vipd doctor."},
	{path: "node.startup_delay", kind: duration{0, time.Hour, false}, def: `"0s"`,
		doc:  "Wait this long after the start before joining elections.",
		also: []string{"vrrp_startup_delay", "vrrp_delay_after_boot", "delay_after_boot"}},
	{path: "node.on_stop", kind: choice{"release", "keep"}, def: `"release"`,
		doc: "What a stop does: release VIPs, drain and withdraw anycast services; or, for an upgrade in place, keep all of it for the next run: VIPs while their leases last, services with neighbors that keep routes over a restart."},
	{path: "node.script_user", kind: userText, none: "vipd, or nobody where there is no such user",
		doc: "User that runs hooks and checks of type exec, unless the check names another one."},

	{path: "control.socket", kind: text{what: "an absolute path of at most 107 bytes", check: checkSocket}, def: `"/run/vipd/vipd.sock"`,
		doc: "Unix socket for the commands of vipd."},
	{path: "control.admin_group", kind: groupText, def: `"vipd-admin"`,
		doc: "Members of this group, and root, may change things; the socket's own group may look."},
	{path: "metrics.listen", kind: text{what: "IP address and port, or :port", check: checkListen}, none: "only on the control socket",
		doc: "Address on which /metrics is served over HTTP."},

	{path: "vip.*.interface", kind: interfaceText, none: required,
		doc: "Interface on which the election runs and which gets the addresses."},
	{path: "vip.*.vrid", kind: integer{1, 255}, none: required,
		doc: "Number of the virtual router: the same on all its hosts, and on no other router of that network.",
		rfc: "VRID (RFC 9568, 5.2.3)", also: []string{"virtual_router_id", "virtual_router"}},
	{path: "vip.*.priority", kind: integer{1, 255}, def: `100`,
		doc: "Who is Active: the highest wins; 255 is for the host that owns the addresses as its own.",
		rfc: "Priority (RFC 9568, 5.2.4)", also: []string{"prio"}},
	{path: "vip.*.version", kind: integer{2, 3}, def: `3`,
		doc: "Version of VRRP; 2 elects over IPv4 only and in whole seconds.",
		rfc: "Version (RFC 9568, 5.2.1; RFC 3768)", also: []string{"vrrp_version"}},
	{path: "vip.*.advert_interval", kind: interval{}, def: `"1s"`,
		doc: "Time between two adverts of the Active.",
		rfc: "Advertisement_Interval (RFC 9568, 6.1)", also: []string{"advert_int", "advertisement_interval"}},
	{path: "vip.*.addresses", kind: list{hostAddress{}}, none: required,
		doc:  "Addresses that move together, without a length /32 or /128; the election runs over the family of the first, and adverts list that family.",
		rfc:  "IPvX Address(es) (RFC 9568, 5.2.9)",
		also: []string{"virtual_ipaddress", "virtual_ipaddress_excluded", "address", "ip", "virtual_ip"}},
	{path: "vip.*.preempt", kind: boolean{}, def: `true`,
		doc: "Take the addresses back from an Active with a lower priority.",
		rfc: "Preempt_Mode (RFC 9568, 6.1)"},
	{path: "vip.*.preempt_delay", kind: duration{0, time.Hour, false}, def: `"0s"`,
		doc: "Wait this long before taking the addresses back; a dead or demoted Active is never waited for."},
	{path: "vip.*.unicast_peers", kind: list{address{}}, none: "adverts go to the multicast group",
		doc:  "Send adverts to these hosts only, and take them from these hosts only.",
		also: []string{"unicast_peer"}},
	{path: "vip.*.unicast_source", kind: address{}, none: "the interface's primary address",
		doc:  "Source address of unicast adverts.",
		also: []string{"unicast_src_ip"}},
	{path: "vip.*.vmac", kind: boolean{}, def: `false`,
		doc: "Answer for the addresses with the virtual MAC 00:00:5e:00:01:VRID, on a macvlan interface.",
		rfc: "Virtual Router MAC Address (RFC 9568, 7.3)", also: []string{"use_vmac"}},
	{path: "vip.*.track", kind: tracking{nameText}, none: "no check matters",
		doc:  "Checks that this VIP depends on: a list, or a table with a weight for each.",
		also: []string{"track_script", "track_check", "track_checks", "track_file", "track_process"}},
	{path: "vip.*.track_interfaces", kind: tracking{interfaceText}, none: "only its own interface matters",
		doc:  "More interfaces that this VIP depends on: a list (\"fault\"), or a table with a weight for each.",
		also: []string{"track_interface"}},
	{path: "vip.*.routes", kind: rows{"vip.*.routes[]"}, none: "no routes",
		doc:  "Routes that exist while the addresses are held here.",
		also: []string{"virtual_routes"}},
	{path: "vip.*.routes[].to", kind: network{}, none: required,
		doc: "Destination."},
	{path: "vip.*.routes[].via", kind: address{}, none: "directly on the interface",
		doc: "Next hop.", also: []string{"gw", "gateway"}},
	{path: "vip.*.routes[].table", kind: integer{1, 1<<32 - 1}, none: "the main table",
		doc: "Number of the routing table."},
	{path: "vip.*.garp.repeat", kind: integer{1, 100}, def: `5`,
		doc: "Gratuitous ARP requests (or neighbour advertisements) per address and burst.",
		rfc: "gratuitous ARP (RFC 9568, 6.4.2)", also: []string{"garp_master_repeat"}},
	{path: "vip.*.garp.interval", kind: duration{0, time.Second, false}, def: `"1ms"`,
		doc:  "Time between the frames of one burst.",
		also: []string{"garp_interval", "gna_interval"}},
	{path: "vip.*.garp.bursts", kind: list{duration{0, time.Minute, false}}, def: `["0s", "50ms", "200ms", "1s"]`,
		doc:  "When bursts start, 1–16 of them in order, counted from a takeover and from every contest that was won.",
		also: []string{"garp_master_delay"}},
	{path: "vip.*.garp.refresh", kind: duration{time.Second, 24 * time.Hour, true}, def: `"60s"`,
		doc:  "Repeat one frame per address this often while held; 0s is never.",
		also: []string{"garp_master_refresh"}},
	{path: "vip.*.checksum", kind: choice{"rfc5798", "rfc9568"}, def: `"rfc5798"`,
		doc: "Checksum sent in version 3 over IPv4: rfc5798 with a pseudo-header, as most routers expect, or rfc9568 without; both are accepted.",
		rfc: "Checksum (RFC 9568, 5.2.8)", also: []string{"v3_checksum_as_v2", "checksum_with_ipv4_pseudoheader"}},
	{path: "vip.*.lease", kind: choice{"auto", "nft", "address", "none"}, def: `"auto"`,
		doc: "Dead-man switch: what ends the hold of this host when vipd hangs or is killed. auto is nft, where the kernel has it and advert_interval is at least 30ms; address gives addresses a lifetime."},
	{path: "vip.*.handover", kind: choice{"overlap", "break"}, def: `"overlap"`,
		doc: "Planned moves: overlap loses no packet, both hosts answer for up to 50ms; break closes the old holder before the new one opens. Needs [pair]; without it moves are those of VRRP."},
	{path: "vip.*.takeover", kind: choice{"vrrp", "fence", "votes"}, def: `"vrrp"`,
		doc:  "What a silent Active needs before this host takes over: nothing more (vrrp), to be cut off for certain (fence), or a majority of the votes (votes).",
		also: []string{"takeover_requires"}},
	{path: "vip.*.no_majority", kind: choice{"release", "hold"}, def: `"release"`,
		doc:  "With takeover = \"votes\": what a holder does that has no majority any more and knows of no other holder. release gives the VIP up; hold goes on, and two hosts may hold it then.",
		also: []string{"no_quorum_policy"}},
}

var groupRows = []key{
	{path: "sync.*.vips", kind: list{nameText}, none: required,
		doc:  "VIPs that are held together or not at all.",
		also: []string{"group"}},
}

// rowOf finds a row of keyRows by its path.
var rowOf = sync.OnceValue(func() map[string]*key {
	m := make(map[string]*key, len(keyRows))
	for i := range keyRows {
		m[keyRows[i].path] = &keyRows[i]
	}
	return m
})

// tableOf finds a row of tables by its path.
var tableOf = sync.OnceValue(func() map[string]*tableRow {
	m := make(map[string]*tableRow, len(tables))
	for i := range tables {
		m[tables[i].path] = &tables[i]
	}
	return m
})

// defaultOf is the value of a key that is absent, nil when it has none.
func defaultOf(path string) any { return defaults()[path] }

var defaults = sync.OnceValue(func() map[string]any {
	m := map[string]any{}
	for path, row := range rowOf() {
		if row.def == "" {
			continue
		}
		f := &file{name: path, text: "x = " + row.def}
		values, err := decode(f.text)
		if err != nil {
			continue // a test parses them all
		}
		root, _ := scan(f)
		attach(root, values)
		if v, ok := row.kind.parse(&reporter{}, root.table["x"]); ok {
			m[path] = v
		}
	}
	return m
})
