package keepalived

// rest are the statements that vipd has nothing for, or that are only looked at
// as a whole.
var rest = table[struct{}]{
	"virtual_server":       does(whole(noteLVS)),
	"virtual_server_group": does(whole(noteLVS)),
	"SSL":                  does(whole(noteLVS)),
	"bfd_instance":         does(whole(noteBFD)),
	"static_ipaddress":     does(whole(noteStatic)),
	"static_routes":        does(whole(noteStatic)),
	"static_rules":         does(whole(noteStatic)),
	"track_group":          does(whole(noteStatic)),
	"interface_up_down_delays": does(whole(
		"vipd does not wait: a bond has updelay and downdelay, a check `hold_down`")),
	"linkbeat_interfaces": {verdict: Changed, note: noteNetlink},
}

// whole refuses a block with all that is in it, and keeps it in the leftover.
func whole(note string) func(*converter, struct{}, *statement) {
	return func(c *converter, _ struct{}, s *statement) {
		c.note(s, Refused, "%s", note)
		c.keep(s)
	}
}

// within are the keywords of blocks that are refused as a whole: they have the
// verdict of the block. Nothing looks them up but the test that compares the
// tables with keepalived's manual.
var within = map[string][]string{
	"lvs_sync_daemon":      {"inst", "id", "maxlen", "port", "ttl", "group"},
	"virtual_server_group": {"fwmark"},
	"virtual_server": {
		"lvs_sched", "lb_algo", "flag-1", "flag-2", "flag-3", "sh-port", "sh-fallback", "mh-port", "mh-fallback", "ops",
		"lvs_method", "lb_kind", "persistence_engine", "persistence_timeout", "persistence_granularity", "protocol",
		"ha_suspend", "smtp_alert", "virtualhost", "snmp_name", "alpha", "omega", "quorum", "hysteresis", "quorum_up",
		"quorum_down", "ip_family", "sorry_server", "sorry_server_inhibit", "sorry_server_lvs_method", "connect_timeout",
		"retry", "nb_get_retry", "delay_before_retry", "warmup", "delay_loop", "inhibit_on_failure", "real_server", "weight",
		"notify_up", "notify_down", "uthreshold", "lthreshold", "connect_ip", "connect_port", "bindto", "bind_if",
		"bind_port", "fwmark", "log_all_failures", "HTTP_GET", "SSL_GET", "http_protocol", "fast_recovery", "url", "path",
		"digest", "status_code", "regex", "regex_no_match", "regex_options", "regex_stack", "regex_min_offset",
		"regex_max_offset", "enable_sni", "TCP_CHECK", "SMTP_CHECK", "helo_name", "DNS_CHECK", "type", "name",
		"MISC_CHECK", "misc_path", "misc_timeout", "misc_dynamic", "user", "BFD_CHECK", "PING_CHECK", "UDP_CHECK",
		"payload", "require_reply", "min_reply_length", "max_reply_length", "FILE_CHECK", "track_file", "dynamic",
	},
	"authentication": {"auth_type", "auth_pass"}, // converted, see auth.go
	"auth_hmac":      {"key", "active_key", "anti_replay", "time_window", "mode"},
	"SSL":            {"password", "ca", "certificate", "key"},
	"track_group":    {"group"},
	"bfd_instance": {
		"neighbor_ip", "source_ip", "min_rx", "min_tx", "idle_tx", "multiplier", "passive", "ttl", "hoplimit", "max_hops",
		"weight", "vrrp", "checker",
	},
}
