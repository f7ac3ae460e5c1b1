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
	if diff := cmp.Diff(slices.Sorted(maps.Keys(checkTypes)), slices.Sorted(maps.Keys(check.Specs()))); diff != "" {
		t.Errorf("pkg/config (-) and pkg/check/spec.go (+):\n%s", diff)
	}
}
