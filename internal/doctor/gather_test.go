package doctor

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/doctor"
)

// root makes files below a root.
func root(t *testing.T, files map[string]string) Host {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Host{Root: dir, Rules: func(context.Context) ([]byte, error) { return []byte("{}"), nil }}
}

// needs is one VIP on the loopback interface, which is everywhere.
var needs = doctor.Needs{
	Socket: "/run/vipd/vipd.sock",
	VIPs:   []doctor.VIP{{Name: "web", Interface: "lo", Interval: time.Second, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")}}},
}

// TestGather: everything is read from below the root.
func TestGather(t *testing.T) {
	t.Parallel()
	h := root(t, map[string]string{
		"proc/sys/kernel/osrelease":                  "6.1.0-18-amd64\n",
		"boot/config-6.1.0-18-amd64":                 "# a comment\nCONFIG_NETFILTER_EGRESS=y\n",
		"proc/812/status":                            "Name:\tvipd\nCapEff:\t0000000000003000\n",
		"proc/sys/net/ipv4/conf/lo/arp_ignore":       "8\n",
		"proc/sys/net/ipv4/conf/all/rp_filter":       "1\n",
		"proc/sys/net/netfilter/nf_conntrack_count":  "7\n",
		"proc/sys/net/netfilter/nf_conntrack_max":    "9\n",
		"proc/net/ip_tables_names":                   "filter\n",
		"sys/class/net/lo/bridge/multicast_snooping": "1\n",
		"sys/class/net/lo/bridge/multicast_querier":  "0\n",
		"sys/class/net/lo/lower_eth0/x":              "",
		"run/systemd/netif/state":                    "OPER_STATE=routable\n",
		"run/systemd/netif/links/1":                  "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/lo.network\nNETWORK_FILE_DROPINS=\"/etc/more.conf\"\n",
		"etc/systemd/network/lo.network":             "[Network]\n",
		"etc/more.conf":                              "KeepConfiguration=static\n",
		"etc/systemd/networkd.conf":                  "[Network]\nManageForeignRoutes=no\n",
		"etc/vipd/credentials/bgp-tor":               "s3cret",
		"etc/group":                                  "root:x:0:\nvipd-admin:x:998:anna\n",
		"etc/systemd/journald.conf":                  "[Journal]\nStorage=persistent\n",
		"run/vipd/vipd.sock":                         "",
	})
	f := h.Gather(t.Context(), needs, 812)
	lo := f.Links["lo"]
	if lo.Index != 1 || lo.MTU == 0 {
		t.Errorf("lo is %+v", lo)
	}
	lo.Up, lo.MTU, lo.Addresses = true, 0, nil // of this machine
	f.Links, f.Clock = map[string]doctor.Link{"lo": lo}, doctor.Clock{}
	for i := range f.Secrets {
		f.Secrets[i].UID = 0
	}
	f.Socket.UID = 0
	want := doctor.Facts{
		Kernel: "6.1.0-18-amd64", Config: map[string]string{"CONFIG_NETFILTER_EGRESS": "y"}, Daemon: true, Caps: 0x3000,
		Links: map[string]doctor.Link{"lo": {
			Index: 1, Up: true, Below: []string{"eth0"}, Bridge: &doctor.Bridge{Snooping: true},
			Managed: "systemd-networkd", Profile: "[Network]\n\nKeepConfiguration=static\n",
		}},
		Sysctls: map[string]int{"net/ipv4/conf/lo/arp_ignore": 8, "net/ipv4/conf/all/rp_filter": 1},
		NFT:     []byte("{}"), Legacy: true, Networkd: doctor.Files{"[Network]\nManageForeignRoutes=no\n"},
		Secrets: []doctor.File{{Path: "/etc/vipd/credentials", Dir: true, Perm: 0o755}, {Path: "/etc/vipd/credentials/bgp-tor", Perm: 0o600}},
		Socket:  &doctor.File{Path: "/run/vipd/vipd.sock", Perm: 0o600}, Groups: []string{"root", "vipd-admin"}, Journal: true,
		Tracked: 7, TrackedMax: 9,
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("facts (-want +got)\n%s", diff)
	}
}

// TestGatherNothing: a host without any of the files is looked at all the same.
func TestGatherNothing(t *testing.T) {
	t.Parallel()
	h := root(t, map[string]string{"run/NetworkManager/devices/1": "[device]\nmanaged=true\n"})
	h.Rules = func(context.Context) ([]byte, error) { return nil, errors.New("not permitted") }
	f := h.Gather(t.Context(), needs, 1)
	if f.Links["lo"].Managed != "NetworkManager" {
		t.Errorf("lo is %+v", f.Links["lo"])
	}
	f.Links, f.Clock = nil, doctor.Clock{}
	want := doctor.Facts{NFTError: "not permitted", Sysctls: map[string]int{}}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("facts (-want +got)\n%s", diff)
	}
}

// TestClock: the kernel answers.
func TestClock(t *testing.T) {
	t.Parallel()
	if c := clock(); !c.Known {
		t.Error("the clock is not known")
	}
}
