package keepalived

import (
	"slices"
	"time"
)

// Notes that several keywords share.
const (
	noteMail     = "vipd sends no mail: alert on its metrics, or run a program by `notify`"
	noteSNMP     = "vipd has no SNMP agent: its metrics are served for Prometheus, [metrics] in vipd.toml(5)"
	noteDBus     = "vipd is not on D-Bus: its socket speaks HTTP and JSON, vipd(8)"
	noteUnit     = "set for the whole daemon in its systemd unit: Nice=, CPUSchedulingPolicy=, CPUAffinity=, MemorySwapMax="
	noteOwn      = "about keepalived's own processes and files: vipd needs nothing here"
	noteBuffers  = "vipd sizes its netlink buffers itself"
	noteLVS      = "vipd does no load balancing (IPVS)"
	noteFirewall = "vipd needs no firewall rules for its VIPs, and has one nftables table of its own"
	noteReload   = "vipd checks a file before a reload, and keeps the old one if it is bad: vipd reload"
	noteNetlink  = "the kernel tells vipd of every change of a link"
	noteRFC      = "vipd has no strict mode: what RFC 9568 says is what it does"
	noteStatic   = "vipd owns what moves: put what stays on the host into systemd-networkd, netplan or ifupdown"
	noteGroups   = "multicast goes to the group of the standard only: use `unicast_peers` on all hosts"
	noteContest  = "a contest that was won is announced as a takeover is: garp.bursts, garp.repeat"
)

// globals are the statements about the daemon.
var globals = table[struct{}]{
	"global_defs": does(func(c *converter, _ struct{}, s *statement) {
		c.note(s, Converted, "")
		walk(c, globalKeywords, s.block, struct{}{})
	}),
	// keepalived takes these at the top of the file as well.
	"net_namespace":         globalKeywords["net_namespace"],
	"net_namespace_ipvs":    globalKeywords["net_namespace_ipvs"],
	"namespace_with_ipsets": globalKeywords["namespace_with_ipsets"],
	"instance":              globalKeywords["instance"],
	"use_pid_dir":           globalKeywords["use_pid_dir"],
	"linkbeat_use_polling":  globalKeywords["linkbeat_use_polling"],
	"child_wait_time":       globalKeywords["child_wait_time"],
}

// globalKeywords stand in global_defs.
var globalKeywords = table[struct{}]{
	"router_id":                       does(routerID),
	"script_user":                     does(scriptUser),
	"notify_fifo":                     does(globalFIFO),
	"vrrp_version":                    does(globalVersion),
	"vrrp_notify_fifo":                does(globalFIFO),
	"vrrp_startup_delay":              does(startupDelay),
	"default_interface":               does(func(c *converter, _ struct{}, s *statement) { c.iface = s.word(1) }),
	"vrrp_mcast_group4":               does(func(c *converter, _ struct{}, s *statement) { c.standardGroup(s) }),
	"vrrp_mcast_group6":               does(func(c *converter, _ struct{}, s *statement) { c.standardGroup(s) }),
	"vrrp_min_garp":                   does(minGARP),
	"vrrp_garp_interval":              does(func(c *converter, _ struct{}, s *statement) { c.garpInterval(&c.garp, s) }),
	"vrrp_gna_interval":               does(func(c *converter, _ struct{}, s *statement) { c.garpInterval(&c.garp, s) }),
	"vrrp_garp_master_delay":          does(func(c *converter, _ struct{}, s *statement) { c.garpDelay(&c.garp, s) }),
	"vrrp_garp_master_repeat":         does(func(c *converter, _ struct{}, s *statement) { c.garpRepeat(&c.garp, s) }),
	"vrrp_garp_master_refresh":        does(func(c *converter, _ struct{}, s *statement) { c.garpRefresh(&c.garp, s) }),
	"vrrp_garp_master_refresh_repeat": does(func(c *converter, _ struct{}, s *statement) { c.garpRefreshRepeat(s) }),
	"vrrp_down_timer_adverts":         does(func(c *converter, _ struct{}, s *statement) { c.downTimer(s) }),
	"vrrp_notify_priority_changes":    does(func(c *converter, _ struct{}, s *statement) { c.priorityChanges(s) }),
	"smtp_alert":                      does(func(c *converter, _ struct{}, s *statement) { c.mail(s) }),
	"smtp_alert_vrrp":                 does(func(c *converter, _ struct{}, s *statement) { c.mail(s) }),
	"smtp_alert_checker":              does(func(c *converter, _ struct{}, s *statement) { c.mail(s) }),
}.
	alike(Changed, "all addresses of a VIP are on its interface, and are announced there",
		"vrrp_garp_extra_if").
	alike(Changed, noteContest,
		"vrrp_garp_lower_prio_delay", "vrrp_garp_lower_prio_repeat").
	alike(Changed, "always so: an advert from a host that is no peer is not believed",
		"vrrp_check_unicast_src").
	alike(Changed, "version 2: vipd always compares the addresses; version 3: never, as RFC 9568 allows",
		"vrrp_skip_check_adv_addr").
	alike(Changed, noteRFC,
		"vrrp_strict", "vrrp_lower_prio_no_advert", "vrrp_higher_prio_send_advert").
	alike(Changed, "vipd sizes its receive buffers itself",
		"vrrp_rx_bufs_policy", "vrrp_rx_bufs_multiplier").
	alike(Changed, "an address owner ignores adverts of others, as RFC 9568 says",
		"vrrp_owner_ignore_adverts").
	alike(Changed, "vipd does not tell of them: `tcpdump proto 112` does",
		"log_unknown_vrids").
	alike(Changed, "not needed: vipd joins the group on its own interface",
		"disable_local_igmp").
	alike(Changed, "always so: an interface may come and go",
		"dynamic_interfaces").
	alike(Changed, "always so: what others may write to is not run",
		"enable_script_security").
	alike(Changed, noteNetlink,
		"linkbeat_use_polling").
	alike(Refused, "the FIFO gets changes only: ask `vipd status --json` after a reload",
		"fifo_write_vrrp_states_on_reload").
	alike(Refused, "put NetworkNamespacePath=/run/netns/NAME into a drop-in of the unit",
		"net_namespace").
	alike(Changed, "several daemons differ by --config, --socket and --state-dir",
		"instance").
	alike(Refused, "run the program as a unit of its own that reads notify_fifo",
		"notify_fifo_script", "vrrp_notify_fifo_script").
	alike(Refused, "put ExecStartPre= into a drop-in of the unit",
		"startup_script").
	alike(Refused, "put ExecStopPost= into a drop-in of the unit",
		"shutdown_script").
	alike(Refused, "put TimeoutStartSec= into a drop-in of the unit",
		"startup_script_timeout").
	alike(Refused, "put TimeoutStopSec= into a drop-in of the unit",
		"shutdown_script_timeout").
	alike(Refused, noteMail,
		"notification_email", "notification_email_from", "smtp_server", "smtp_helo_name", "smtp_connect_timeout").
	alike(Changed, noteMail,
		"no_email_faults", "no_checker_emails").
	alike(Refused, noteSNMP,
		"snmp_socket", "enable_snmp_vrrp", "enable_snmp_checker", "enable_snmp_rfc", "enable_snmp_rfcv2",
		"enable_snmp_rfcv3", "enable_traps").
	alike(Refused, noteDBus,
		"enable_dbus", "dbus_service_name", "dbus_no_interface_name").
	alike(Refused, noteLVS+": start ipvsadm --start-daemon by `notify`",
		"lvs_sync_daemon").
	alike(Refused, noteLVS,
		"lvs_timeouts", "lvs_flush", "lvs_flush_onstop", "lvs_flush_on_stop", "lvs_notify_fifo",
		"lvs_notify_fifo_script", "net_namespace_ipvs", "rs_init_notifies", "checker_log_all_failures",
		"nftables_ipvs", "nftables_ipvs_priority", "nftables_ipvs_start_fwmark").
	alike(Changed, noteUnit,
		"vrrp_priority", "checker_priority", "bfd_priority", "vrrp_no_swap", "checker_no_swap", "bfd_no_swap",
		"vrrp_cpu_affinity", "checker_cpu_affinity", "bfd_cpu_affinity", "vrrp_rt_priority", "checker_rt_priority",
		"bfd_rt_priority", "vrrp_rlimit_rttime", "checker_rlimit_rttime", "bfd_rlimit_rttime", "max_auto_priority",
		"min_auto_priority_delay", "umask").
	alike(Changed, noteOwn,
		"tmp_config_directory", "config_save_dir", "process_names", "process_name", "vrrp_process_name",
		"checker_process_name", "bfd_process_name", "child_wait_time", "use_pid_dir", "namespace_with_ipsets",
		"random_seed", "data_use_instance", "include_check", "json_version", "state_dump_file", "iproute_usr_dir",
		"iproute_etc_dir").
	alike(Changed, noteFirewall,
		"nftables", "nftables_priority", "nftables_counters", "nftables_ifindex", "vrrp_iptables", "vrrp_ipsets").
	alike(Changed, noteBuffers,
		"vrrp_netlink_cmd_rcv_bufs", "vrrp_netlink_cmd_rcv_bufs_force", "vrrp_netlink_monitor_rcv_bufs",
		"vrrp_netlink_monitor_rcv_bufs_force", "lvs_netlink_cmd_rcv_bufs", "lvs_netlink_cmd_rcv_bufs_force",
		"lvs_netlink_monitor_rcv_bufs", "lvs_netlink_monitor_rcv_bufs_force", "process_monitor_rcv_bufs",
		"process_monitor_rcv_bufs_force").
	alike(Changed, noteReload,
		"reload_check_config", "reload_time_file", "reload_repeat", "reload_file").
	alike(Changed, "a virtual MAC has an interface whose name vipd chooses",
		"vmac_prefix", "vmac_addr_prefix")

func routerID(c *converter, _ struct{}, s *statement) {
	switch name := label(s.word(1)); {
	case name == "":
		c.note(s, Refused, "a name is missing")
	case name == "LVS_DEVEL", name == "LVS_MAIN":
		c.note(s, Changed, "the name of keepalived's sample: vipd shows the host's own name")
	case name != s.word(1):
		c.nodeName = name
		c.note(s, Changed, "node.name = %q: letters, digits and . _ - only", name)
	default:
		c.nodeName = name
		c.note(s, Converted, "node.name; it should differ between the hosts")
	}
}

func scriptUser(c *converter, _ struct{}, s *statement) {
	c.scriptUser = s.word(1)
	switch {
	case s.word(1) == "root":
		c.note(s, Changed, "node.script_user; even root's programs run without capabilities: what needs them is a unit of its own")
	case s.word(2) != "":
		c.note(s, Changed, "node.script_user; the group is that of the user, not %s", s.word(2))
	}
}

func globalFIFO(c *converter, _ struct{}, s *statement) {
	if s.word(1) == "" {
		c.note(s, Refused, "a path is missing")
		return
	}
	if c.fifo != "" && c.fifo != s.word(1) {
		c.note(s, Refused, "vipd writes to one FIFO: %s", c.fifo)
		return
	}
	c.fifo = s.word(1)
	if s.word(2) != "" {
		c.note(s, Changed, "vip_defaults.notify_fifo; it belongs to the user of vipd, not to %s", s.word(2))
	}
}

func globalVersion(c *converter, _ struct{}, s *statement) {
	if n, ok := c.number(s, 2, 3); ok {
		c.version = n
	}
}

func startupDelay(c *converter, _ struct{}, s *statement) {
	if d, ok := c.seconds(s, 0, time.Hour); ok {
		c.startupDelay = d
	}
}

func minGARP(c *converter, _ struct{}, s *statement) {
	if c.flag(s) {
		one, none := 1, time.Duration(0)
		c.garp.repeat, c.garp.delay = &one, &none
	}
}

// mail refuses alerts by mail, if they are on.
func (c *converter) mail(s *statement) {
	if c.flag(s) {
		c.note(s, Refused, noteMail)
	}
}

// standardGroup takes the multicast groups that everybody uses.
func (c *converter) standardGroup(s *statement) {
	if !slices.Contains([]string{"224.0.0.18", "ff02::12", "ff02:0:0:0:0:0:0:12"}, s.word(1)) {
		c.note(s, Refused, noteGroups)
	}
}

// downTimer takes three adverts, which is the standard's number.
func (c *converter) downTimer(s *statement) {
	if s.word(1) != "3" {
		c.note(s, Refused, "a Backup waits for three adverts, as the standard says: change advert_interval instead")
	}
}

// priorityChanges refuses what vipd tells by events.
func (c *converter) priorityChanges(s *statement) {
	if c.flag(s) {
		c.note(s, Refused, "hooks are told states only: follow priorities by `vipd events -f` or the metrics")
	}
}
