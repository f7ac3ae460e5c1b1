package check

import (
	"fmt"
	"strings"
)

// Group is a check without a probe: its health follows that of other checks at
// once.
type Group struct {
	Members []string // names of checks
	Need    int      // how many of them must be up, 1 to all
}

// Type implements [Spec].
func (Group) Type() string { return "group" }

// String is what the group asks for: "all of a, b", "2 of a, b, c".
func (g Group) String() string {
	names := strings.Join(g.Members, ", ")
	switch g.Need {
	case len(g.Members):
		return "all of " + names
	case 1:
		return "any of " + names
	}
	return fmt.Sprintf("%d of %s", g.Need, names)
}

// Judge returns the health of the group from that of its members. It is known
// when it cannot change by what is not known of the members.
func (g Group) Judge(member func(name string) (up, known bool)) (up, known bool) {
	good, sure, lost := 0, 0, 0
	for _, name := range g.Members {
		switch up, known := member(name); {
		case up && known:
			good++
			sure++
		case up:
			good++
		case known:
			lost++
		}
	}
	if good >= g.Need {
		return true, sure >= g.Need
	}
	return false, len(g.Members)-lost < g.Need
}
