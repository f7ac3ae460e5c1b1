package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Checks are kept from taking a service off the whole network: a check that
// is wrong on every host, or flaps on all of them, withdraws nothing any more. What
// it would withdraw is announced as the last resort instead: with the highest MED,
// a longer path and GRACEFUL_SHUTDOWN, so that neighbors prefer any other host.

// lastFor is how long others must be seen after a service became the last resort
// before it is withdrawn: a check that fails everywhere at once shows by then, as
// the others are no longer counted when they are the last resort themselves.
const lastFor = 3 * time.Second

// Why a service is announced although a check fails, in one word.
const (
	lastMin    = "min_announcers"  // too few others are seen
	lastBudget = "withdraw_budget" // checks withdrew too much lately
	lastSeen   = "others-seen"     // enough are seen, and must be for a while
)

// lastResort reports whether s has to stay announced although it fails, as the last
// resort, and plans when that is over.
func (e *Engine) lastResort(now time.Time, s *service) bool {
	s.lastBy, s.lastWhy = time.Time{}, ""
	if !s.guardable() || s.cfg.MinAnnouncers == 0 && e.cfg.Budget.Max == 0 {
		return false
	}
	if !s.last && e.cfg.Budget.Max > 0 && s.cfg.MinAnnouncers == 0 && e.budgetFree(now).IsZero() {
		return false
	}
	if others := len(e.others(s)); others >= s.cfg.MinAnnouncers {
		if s.enoughSince.IsZero() || !s.last {
			s.enoughSince = now
		}
	} else {
		s.enoughSince = time.Time{}
	}
	if !s.last {
		s.last = true
		e.retell(s)
	}
	free := e.budgetFree(now)
	switch {
	case s.cfg.MinAnnouncers > 0 && s.enoughSince.IsZero():
		s.lastWhy = lastMin
		return true
	case !free.IsZero():
		s.lastWhy, s.lastBy = lastBudget, free
		return true
	case s.cfg.MinAnnouncers > 0 && now.Before(s.enoughSince.Add(lastFor)):
		s.lastWhy, s.lastBy = lastSeen, s.enoughSince.Add(lastFor)
		return true
	}
	return false
}

// guardable reports whether only checks keep s from being announced.
func (s *service) guardable() bool {
	return len(s.blockers) > 0 && !slices.ContainsFunc(s.blockers, func(b Blocker) bool { return b.Kind != BlockedCheck })
}

// others are who else announces every prefix of s: of each prefix so many, the
// fewest count.
func (e *Engine) others(s *service) []string {
	var fewest []string
	for i, p := range s.cfg.Prefixes {
		if others := e.speaker.seen[p]; i == 0 || len(others) < len(fewest) {
			fewest = others
		}
	}
	return fewest
}

// budgetFree is when a check may withdraw something again, zero = now.
func (e *Engine) budgetFree(now time.Time) time.Time {
	b := e.cfg.Budget
	if b.Max == 0 {
		return time.Time{}
	}
	e.spent = slices.DeleteFunc(slices.Clone(e.spent), func(at time.Time) bool { return !now.Before(at.Add(b.Per)) })
	if len(e.spent) < b.Max {
		return time.Time{}
	}
	return e.spent[len(e.spent)-b.Max].Add(b.Per)
}

// spend counts a withdrawal because of a check.
func (e *Engine) spend(now time.Time, s *service) {
	if e.cfg.Budget.Max > 0 && s.guardable() {
		e.spent = append(slices.Clip(e.spent), now)
	}
}

// lastText says why s is announced as the last resort.
func (e *Engine) lastText(s *service) string {
	others := e.others(s)
	seen := "no other host is seen to announce it"
	if len(others) > 0 {
		seen = "others announce it: " + strings.Join(others, ", ")
	}
	switch s.lastWhy {
	case lastMin:
		return fmt.Sprintf("%s; still announced, as the last resort: %s, min_announcers is %d", s.blockers[0].Text, seen, s.cfg.MinAnnouncers)
	case lastBudget:
		return fmt.Sprintf("%s; still announced, as the last resort: checks withdrew services %d times within %s, which is withdraw_budget",
			s.blockers[0].Text, len(e.spent), e.cfg.Budget.Per)
	}
	return fmt.Sprintf("%s; still announced, as the last resort, and withdrawn soon: %s", s.blockers[0].Text, seen)
}

// announcersSeen takes who else announces a prefix.
func (e *Engine) announcersSeen(now time.Time, ev AnnouncersSeen) {
	seen := maps.Clone(e.speaker.seen)
	if seen == nil {
		seen = map[netip.Prefix][]string{}
	}
	seen[ev.Prefix] = ev.Others
	if len(ev.Others) == 0 {
		delete(seen, ev.Prefix)
	}
	e.speaker.seen = seen
	e.evaluateServices(now, 0)
}

// observed lists the prefixes of which others are looked for.
func observed(services map[string]Service) []netip.Prefix {
	var list []netip.Prefix
	for _, name := range slices.Sorted(maps.Keys(services)) {
		if s := services[name]; s.MinAnnouncers > 0 {
			list = append(list, s.Prefixes...)
		}
	}
	return list
}
