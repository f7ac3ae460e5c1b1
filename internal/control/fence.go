package control

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/fence"
)

// fences answers GET /v1/fences.
func (s *Server) fences(c call) (any, error) {
	doc, err := s.current(c.Context())
	if err != nil {
		return nil, err
	}
	list := FencesDocument{Schema: schemaFences, Node: doc.Node.Name, Now: doc.Now, Fences: doc.Fences, History: s.back.FenceHistory()}
	if list.Fences == nil {
		list.Fences = []engine.FenceStatus{}
	}
	if list.History == nil {
		list.History = fence.History{}
	}
	return list, nil
}

// confirmFence answers POST /v1/fences/{name}/confirm. Who states it is who the
// kernel says is calling.
func (s *Server) confirmFence(c call) (any, error) {
	var none struct{}
	if err := decode(c.body, &none); err != nil {
		return nil, err
	}
	doc, err := s.current(c.Context())
	if err != nil {
		return nil, err
	}
	peer := c.PathValue("name")
	if peers := FencedPeers(doc.Status); !slices.Contains(peers, peer) {
		return nil, unknown("peer that is fenced", peer, peers)
	}
	ctx, cancel := limit(c.Context(), false)
	defer cancel()
	return s.do(ctx, engine.ConfirmFence{Peer: peer, Actor: c.actor})
}

// testFence answers POST /v1/fence/test/{name}.
func (s *Server) testFence(c call) (any, error) {
	var none struct{}
	if err := decode(c.body, &none); err != nil {
		return nil, err
	}
	ctx, cancel := limit(c.Context(), false)
	defer cancel()
	doc, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	name := c.PathValue("name")
	if devices := FenceDevices(doc.Status); !slices.Contains(devices, name) {
		return nil, unknown("fence device", name, devices)
	}
	res, err := s.back.TestFence(ctx, name)
	if err != nil {
		return nil, err
	}
	res.Schema, res.Device = schemaTest, name
	return res, nil
}

// FencedPeers are the names of the peers that can be cut off.
func FencedPeers(s engine.Status) []string {
	var names []string
	for _, f := range s.Fences {
		names = append(names, f.Peer)
	}
	return names
}

// FenceDevices are the names of the devices that cut peers off, sorted.
func FenceDevices(s engine.Status) []string {
	var names []string
	for _, f := range s.Fences {
		for _, d := range f.Devices {
			names = append(names, d.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// FenceWords says in a few words whether silent peers could be cut off, and
// which are being: "ready", "lb2 unprotected", "lb2 cutting"; "" when there is none.
func FenceWords(s engine.Status) string {
	var words []string
	for _, f := range s.Fences {
		switch {
		case len(f.Waiting) > 0 || f.Proof != "":
			words = append(words, f.Peer+" "+f.Phase)
		case f.Unprotected:
			words = append(words, f.Peer+" unprotected")
		}
	}
	if len(words) == 0 && len(s.Fences) > 0 {
		return "ready"
	}
	return strings.Join(words, ", ")
}

// FenceNews is a line for each peer that cannot be cut off, or whose VIPs wait for
// that; urgent when they wait for somebody.
func FenceNews(f engine.FenceStatus) (text string, urgent bool) {
	vips := strings.Join(f.Waiting, ", ")
	switch phase := fence.Phase(f.Phase); {
	case len(f.Waiting) > 0 && (phase == fence.Resting || phase == fence.Forbidden):
		text = fmt.Sprintf("%s cannot be taken over: fence of %s %s", vips, f.Peer, f.Phase)
		if f.Why != "" {
			text += ": " + f.Why
		}
		return text + fmt.Sprintf(" (vipd why %s, vipd fence confirm %s)", f.Waiting[0], f.Peer), true
	case len(f.Waiting) > 0 && f.Proof == "" && phase != fence.Idle:
		return fmt.Sprintf("%s waits until %s is cut off (vipd why %s)", vips, f.Peer, f.Waiting[0]), true
	case f.Proof != "":
		return fmt.Sprintf("%s is off: %s (vipd fence history)", f.Peer, f.Proof), false
	case f.Unprotected:
		return fmt.Sprintf("%s is unprotected, nothing could cut it off: %s (vipd fence list)", f.Peer, badDevices(f)), true
	}
	if bad := badDevices(f); bad != "" {
		return fmt.Sprintf("a fence device of %s does not work: %s (vipd fence list)", f.Peer, bad), false
	}
	return "", false
}

// badDevices says what is wrong with devices.
func badDevices(f engine.FenceStatus) string {
	var words []string
	for _, d := range f.Devices {
		if d.Known && !d.OK {
			words = append(words, d.Name+": "+d.Text)
		}
	}
	return strings.Join(words, ", ")
}

// whyFence explains what a VIP that is not cleared waits for.
func whyFence(e *Explanation, s engine.Status, v engine.VIPStatus) {
	for _, f := range s.Fences {
		if !slices.Contains(f.Waiting, v.Name) {
			continue
		}
		for _, line := range f.Lines {
			if strings.HasPrefix(line, "If you are sure") {
				e.remedy("you are sure that %s is powered off:   vipd fence confirm %s --i-checked", f.Peer, f.Peer)
				continue
			}
			e.because("  %s", line)
		}
		e.remedy("%s is heard again, or says that it does not hold %s", f.Peer, v.Name)
	}
}
