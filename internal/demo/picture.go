package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"time"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/testenv"
)

// What of an act is drawn, and how large.
const (
	drawnBefore = 50 * time.Millisecond // its beginning
	drawnAfter  = 200 * time.Millisecond
	actHeight   = 92 // pixels
	laneHeight  = 14
	left        = 60
	width       = 860
)

// lanes are the hosts, from the top, and their colours.
var lanes = []struct{ host, colour string }{{"lb1", "#2b6cb0"}, {"lb2", "#2f855a"}}

const nobody = "#c53030"

// picture draws who answered the client, probe by probe, and what the hosts say that
// they did, act by act, as SVG.
type picture struct {
	bytes.Buffer
	top int // of the current act
}

// draw writes the picture of the whole play.
func (s *stage) draw(ctx context.Context, out io.Writer, report *testenv.Report) error {
	changes, err := s.changes(ctx)
	if err != nil {
		return err
	}
	p := &picture{}
	height := actHeight*(len(s.played)-1) + 40
	p.print(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`, left+width+20, height, left+width+20, height)
	p.print(`<title>vipd demo: who answers %s, %d probes a second, adverts every %s</title>`, vip, probeRate, interval)
	p.print(`<rect width="100%%" height="100%%" fill="white"/>`)
	for i, one := range s.played {
		if one.result.From == one.result.To {
			continue // nothing to see
		}
		end := one.begun.Add(one.result.Moved + drawnAfter)
		if i+1 < len(s.played) && s.played[i+1].begun.Before(end) {
			end = s.played[i+1].begun
		}
		p.act(one, report.Between(one.begun.Add(-drawnBefore), end), end, changes)
		p.top += actHeight
	}
	p.legend()
	p.print(`</svg>`)
	if _, err := out.Write(p.Bytes()); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	return nil
}

func (p *picture) print(format string, args ...any) { _, _ = fmt.Fprintf(p, format+"\n", args...) } // a buffer takes it

// act draws one of them, from a little before its beginning to end.
func (p *picture) act(one played, part *testenv.Report, end time.Time, changes []engine.EventDocument) {
	from := one.begun.Add(-drawnBefore)
	x := func(t time.Time) float64 {
		return left + width*float64(min(max(t.Sub(from), 0), end.Sub(from)))/float64(end.Sub(from))
	}
	p.print(`<text x="%d" y="%d" font-weight="bold">%s</text>`, left, p.top+14, html.EscapeString(one.result.Title))
	p.print(`<text x="%d" y="%d" text-anchor="end">%d lost, %s</text>`, left+width, p.top+14, part.Lost, ms(one.result.Moved))
	for i, lane := range lanes {
		y := p.top + 22 + i*(laneHeight+4)
		p.print(`<text x="8" y="%d">%s</text>`, y+11, lane.host)
		p.print(`<rect x="%d" y="%d" width="%d" height="%d" fill="#edf2f7"/>`, left, y, width, laneHeight)
	}
	step := time.Second / probeRate
	for run := range runs(part.Probes()) {
		y, height, colour := p.top+22, 2*laneHeight+4, nobody
		for i, lane := range lanes {
			if lane.host == run.host {
				y, height, colour = p.top+22+i*(laneHeight+4), laneHeight, lane.colour
			}
		}
		p.print(`<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`, x(run.from), y, x(run.to.Add(step))-x(run.from), height, colour)
	}
	for i, lane := range lanes {
		p.states(p.top+22+i*(laneHeight+4), x, from, end, lane.host, changes)
	}
	axis := p.top + 22 + 2*(laneHeight+4) + 10
	every := 50 * time.Millisecond
	if end.Sub(from) > time.Second {
		every = 200 * time.Millisecond
	}
	for t := one.begun; t.Before(end); t = t.Add(every) {
		p.print(`<text x="%.1f" y="%d" font-size="9" text-anchor="middle" fill="#4a5568">%d ms</text>`, x(t), axis, t.Sub(one.begun).Milliseconds())
	}
}

// labelWidth is how many pixels the name of a state takes.
const labelWidth = 44

// states marks the states that a host enters between two times; the first of several
// in one place has its name.
func (p *picture) states(y int, x func(time.Time) float64, from, end time.Time, host string, changes []engine.EventDocument) {
	free := 0.0
	for _, c := range changes {
		if c.Node != host || c.Time.Before(from) || c.Time.After(end) {
			continue
		}
		at, colour := x(c.Time), "#1a202c"
		if c.To == string(engine.Active) {
			colour = "white"
		}
		p.print(`<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="black"/>`, at, at, y-2, y+laneHeight+2)
		if at >= free || c.To == string(engine.Active) {
			p.print(`<text x="%.1f" y="%d" font-size="9" fill="%s">%s</text>`, at+3, y+11, colour, c.To)
			free = at + labelWidth
		}
	}
}

// legend says what the colours mean.
func (p *picture) legend() {
	x := left
	for _, entry := range [][2]string{{lanes[0].colour, "lb1 answers"}, {lanes[1].colour, "lb2 answers"}, {nobody, "nobody does"}} {
		p.print(`<rect x="%d" y="%d" width="12" height="12" fill="%s"/><text x="%d" y="%d">%s</text>`, x, p.top+14, entry[0], x+18, p.top+24, entry[1])
		x += 110
	}
}

// stretch is probes in a row that met the same fate; host "" = lost.
type stretch struct {
	host     string
	from, to time.Time
}

// runs puts probes that met the same fate together.
func runs(probes []testenv.Probe) func(yield func(stretch) bool) {
	return func(yield func(stretch) bool) {
		for i := 0; i < len(probes); {
			r := stretch{host: probes[i].Host, from: probes[i].Sent}
			for ; i < len(probes) && probes[i].Host == r.host; i++ {
				r.to = probes[i].Sent
			}
			if !yield(r) {
				return
			}
		}
	}
}

// changes are the transitions that both hosts tell of.
func (s *stage) changes(ctx context.Context) ([]engine.EventDocument, error) {
	var list []engine.EventDocument
	for _, h := range []*host{s.lb1, s.lb2} {
		out, err := h.agent.Command(ctx, "events", "--json", "--type", string(engine.RecordTransition)).Output()
		if err != nil {
			return nil, fmt.Errorf("ask %s what happened: %w", h.Name, err)
		}
		for lines := json.NewDecoder(bytes.NewReader(out)); lines.More(); {
			var e engine.EventDocument
			if err := lines.Decode(&e); err != nil {
				return nil, fmt.Errorf("read what happened on %s: %w", h.Name, err)
			}
			list = append(list, e)
		}
	}
	return list, nil
}
