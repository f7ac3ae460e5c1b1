package daemon

import (
	"maps"
	"slices"

	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/engine"
)

// authenticated fills in how the adverts of VIPs are authenticated, which is
// between the configuration and the ports: the engine knows no secrets.
func (d *Daemon) authenticated(cfg *config.Config, vips []engine.VIPStatus) {
	ports := map[portKey]*refusals{}
	for _, p := range *d.portList.Load() {
		ports[p.key] = p.refused(p.conn.Load())
	}
	for i := range vips {
		v := &vips[i]
		s := engine.AuthStatus{Mode: "off"}
		auth, configured := cfg.Auth[v.Name]
		if configured {
			s.Mode, s.ActiveKey = string(auth.Mode), int(auth.Signing())
			for _, id := range slices.Sorted(maps.Keys(auth.Keys)) {
				s.Keys = append(s.Keys, int(id))
			}
		}
		if r := ports[portKey{v.Interface, v.Family == "ipv4"}]; r != nil {
			if last, any := r.auth[v.VRID]; any {
				s.Refused, s.Last = last.Count, &engine.AuthRefusal{Source: last.Source, Detail: last.Detail, Time: last.Time}
			}
		}
		if configured || s.Refused > 0 {
			v.Auth = &s
		}
	}
}
