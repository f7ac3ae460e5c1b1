package engine

import "time"

// noteHolder notes who holds v now. When that was another host before, and no drill
// is under way, a failover has been proven.
func (e *Engine) noteHolder(now time.Time, v *vip, who string) {
	if v.holder == who {
		return
	}
	if v.holder != "" && !e.drill.on(v) {
		e.prove(now, v)
	}
	v.holder = who
}

// prove notes that v has just been taken over, as it must be.
func (e *Engine) prove(now time.Time, v *vip) {
	v.proven = now
	e.do(RememberProven{VIP: v.name, At: now})
}

// proof takes what is known of failovers: what a client saw of one, or when others
// were.
func (e *Engine) proof(now time.Time, ev Event) {
	if p, ok := ev.(VIPProbed); ok {
		e.vipProbed(now, p)
	} else if r, ok := ev.(RestoreProven); ok {
		e.restoreProven(r)
	}
}

// restoreProven brings back what an earlier process knew.
func (e *Engine) restoreProven(ev RestoreProven) {
	for name, at := range ev.At {
		if v := e.byName[name]; v != nil && v.proven.IsZero() {
			v.proven = at
		}
	}
}
