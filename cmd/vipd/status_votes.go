package main

import (
	"strings"

	"github.com/vipd/vipd/internal/control"
	"github.com/vipd/vipd/pkg/engine"
)

// votersLine is how those who vote on VIPs of this host are reached, "" when nobody
// does.
func (a *app) votersLine(s engine.Status) string {
	var words []string
	for _, v := range control.Voters(s) {
		switch {
		case v.Up(s.Now):
			words = append(words, clean(v.Name)+" answered "+control.Age(s.Now.Sub(v.Heard))+" ago")
		case v.Heard.IsZero():
			words = append(words, clean(v.Name)+" "+a.paint(red, "NEVER ANSWERED"))
		default:
			words = append(words, clean(v.Name)+" "+a.paint(red, "SILENT")+" for "+control.Age(s.Now.Sub(v.Heard)))
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "voters: " + strings.Join(words, ", ")
}

// votesNews is what is wrong with votes, and with who has them.
func votesNews(doc control.StatusDocument) []item {
	var list []item
	for _, v := range doc.VIPs {
		if text, urgent := control.VotesNews(v, doc.Now); urgent {
			list = append(list, item{worstRank, red, text + " (vipd why " + v.Name + ")"})
		}
	}
	for _, v := range control.Voters(doc.Status) {
		if v.Host || v.Up(doc.Now) {
			continue // what is wrong with hosts the pair channel says
		}
		text := "witness " + v.Name + " does not answer: with one more failure nobody holds what is voted on"
		for _, w := range doc.Node.Edge.Witnesses {
			if w.Name == v.Name && w.Err != "" {
				text += ": " + w.Err
			}
		}
		list = append(list, item{1, yellow, text})
	}
	return list
}
