package probe

import (
	"context"
	"fmt"
	"slices"

	"github.com/vipd/vipd/pkg/check"
)

// activeStates are those in which a unit does its work.
var activeStates = []string{"active", "reloading", "refreshing"}

// Unit asks systemd whether a unit is active.
func Unit(ctx context.Context, u check.Unit, _ Settings) Result {
	return seeUnit(u)(askUnit(ctx, u.Name)).result()
}

// watchUnit has systemd tell of a unit.
func watchUnit(ctx context.Context, u check.Unit, sc scene) {
	judge := seeUnit(u)
	followUnit(ctx, u.Name, sc.every, func(s unitState, err error) { sc.see(judge(s, err)) })
}

// seeUnit judges what systemd says.
func seeUnit(u check.Unit) func(unitState, error) Seen {
	return func(s unitState, err error) Seen {
		is := fmt.Sprintf("%s is %s (%s)", u.Name, s.active, s.sub)
		switch {
		case err != nil:
			return Seen{Detail: err.Error()}
		case !slices.Contains(activeStates, s.active) && s.load != "loaded":
			return Seen{Detail: unloaded(u.Name, s)}
		case !slices.Contains(activeStates, s.active):
			return Seen{Detail: is}
		case u.SubState != "" && u.SubState != s.sub && s.active == "active":
			return Seen{Detail: is + ", not " + u.SubState}
		}
		return Seen{OK: true, Detail: is}
	}
}

// unloaded says why systemd has no such unit.
func unloaded(name string, s unitState) string {
	if s.load == "not-found" {
		return "systemd knows no unit " + name
	}
	return fmt.Sprintf("%s is %s", name, s.load)
}
