package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/internal/control"
	host "github.com/vipd/vipd/internal/doctor"
	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/config/disk"
	"github.com/vipd/vipd/pkg/doctor"
	"github.com/vipd/vipd/pkg/engine"
)

// doctorDocument is the JSON of vipd doctor, schema vipd.doctor/v1.
type doctorDocument struct {
	Schema   string           `json:"schema"`
	Worst    doctor.Level     `json:"worst"`
	Findings []doctor.Finding `json:"findings"`
}

// doctorCommand is vipd doctor.
func (a *app) doctorCommand() *cobra.Command {
	file, probe, listen := defaultConfig, false, false
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "look at the host: what keeps vipd from working, and what to do about it; exit 1 if something does",
		Example: `  vipd doctor
  vipd doctor --probe --listen`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, problems := disk.Load(file)
			if conf == nil {
				if err := problems.Format(a.err, a.errColor); err != nil {
					return err
				}
				return errConfig
			}
			n := a.needs(conf)
			doc, err := a.daemon(cmd.Context())
			f := host.Host{}.Gather(cmd.Context(), n, doc.Node.PID)
			if err == nil {
				f.Zones, f.Held = zonesOf(doc.Status), heldBy(doc.Status)
			}
			if probe {
				a.waiting("asking for the addresses of vips", host.ProbeTime)
				if f.Probed, err = host.Probe(cmd.Context(), n); err != nil {
					return err
				}
			}
			if listen {
				a.waiting("listening for adverts", host.ListenTime(n))
				if f.Heard, err = host.Listen(cmd.Context(), n); err != nil {
					return err
				}
				f.Listens = true
			}
			return a.printFindings(doctor.Examine(n, f))
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration file")
	cmd.Flags().BoolVar(&probe, "probe", false, "ask the network who answers for the addresses of vips (ARP)")
	cmd.Flags().BoolVar(&listen, "listen", false, "listen for other virtual routers for three advert intervals")
	return cmd
}

// waiting says on a terminal what takes a while.
func (a *app) waiting(what string, length time.Duration) {
	if _, ok := terminal(a.err); ok {
		a.note("%s, %s", what, length)
	}
}

// daemon is what the daemon says of itself, if one answers.
func (a *app) daemon(ctx context.Context) (control.StatusDocument, error) {
	ctx, cancel := a.within(ctx, shortTime)
	defer cancel()
	return a.client().Status(ctx)
}

// zonesOf are the zones of the peers.
func zonesOf(s engine.Status) map[string]string {
	zones := map[string]string{}
	if s.Pair != nil {
		for _, p := range s.Pair.Peers {
			zones[p.Name] = p.Zone
		}
	}
	return zones
}

// heldBy are the VIPs that the daemon holds, and why a restart would give each up.
func heldBy(s engine.Status) map[string]string {
	held := map[string]string{}
	for _, v := range s.VIPs {
		if v.Held {
			held[v.Name] = v.Unkept
		}
	}
	return held
}

// needs is what a configuration asks of the host.
func (a *app) needs(conf *config.Config) doctor.Needs {
	n := doctor.Needs{Socket: conf.Control.Socket, AdminGroup: conf.Control.AdminGroup, PairPort: conf.Pair.Listen.Port(), Zone: conf.Engine.Zone, Paired: conf.Engine.Pair != nil,
		Keep: conf.Engine.Keep}
	if a.socket != defaultSocket {
		n.Socket = a.socket
	}
	e := conf.Engine
	for _, name := range slices.Sorted(maps.Keys(e.VIPs)) {
		v := e.VIPs[name]
		n.VIPs = append(n.VIPs, doctor.VIP{
			Name: name, Interface: v.Interface, VRID: v.VRID, Interval: v.Interval, Addresses: v.Addresses,
			Peers: v.UnicastPeers, VMAC: v.VMAC, Routes: len(v.Routes) > 0, Keepable: v.Keepable(),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(e.Services)) {
		n.Anycast = append(n.Anycast, doctor.Anycast{Name: name, Device: e.Services[name].Device})
	}
	if e.BGP != nil {
		n.Neighbors, n.ListenBGP = len(e.BGP.Neighbors), e.BGP.ListenPort == 179
		for _, peer := range e.BGP.Neighbors {
			n.BFD = n.BFD || peer.BFD != nil
		}
	}
	return n
}

// printFindings prints a line for each, the fix below it. What fails is a "no".
func (a *app) printFindings(list []doctor.Finding) error {
	worst := doctor.Worst(list)
	if a.json {
		if err := a.encodeJSON(doctorDocument{Schema: "vipd.doctor/v1", Worst: worst, Findings: list}); err != nil {
			return err
		}
	} else {
		styles := map[doctor.Level]style{doctor.Pass: green, doctor.Warn: yellow, doctor.Fail: red}
		t := newTable("CHECK", "", "WHAT IS")
		for _, f := range list {
			if a.quiet && f.Level < doctor.Warn {
				continue
			}
			t.add(cell{text: f.Check}, cell{f.Level.String(), styles[f.Level]}, cell{text: f.Text})
			if f.Fix != "" {
				t.add(cells("", "", "  fix: "+f.Fix)...)
			}
		}
		if len(t.rows) > 1 {
			a.printTable(t, false)
		}
	}
	if worst == doctor.Fail {
		return errNo
	}
	return nil
}
