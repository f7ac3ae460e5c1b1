package config

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vipd/vipd/pkg/check"
)

// TestCheckTypes compares the types of checks that a file can have with those
// that a recording can hold.
func TestCheckTypes(t *testing.T) {
	t.Parallel()
	inFile := append(slices.Collect(maps.Keys(checkTypes)), check.Group{}.Type()) // has no type in a file
	if diff := cmp.Diff(slices.Sorted(slices.Values(inFile)), slices.Sorted(maps.Keys(check.Specs()))); diff != "" {
		t.Errorf("pkg/config (-) and pkg/check/spec.go (+):\n%s", diff)
	}
}
