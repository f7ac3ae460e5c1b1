package testenv

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// forbidden holds why this machine cannot isolate, when it cannot.
var forbidden error

// Require skips the test, with the reason, when namespaces or one of the named
// programs (looked up in PATH, or a path) is missing. A word in the
// comma-separated list VIPD_REQUIRE ("netns", or a program's base name) turns
// that skip into a failure, so that a skipped lab is never counted as passed.
func Require(t testing.TB, programs ...string) {
	t.Helper()
	if forbidden != nil || os.Getenv(isolated) == "" {
		missing(t, "netns", "namespaces: ", forbidden)
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing(t, p[strings.LastIndex(p, "/")+1:], "program: ", err)
		}
	}
}

func missing(t testing.TB, word string, args ...any) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("VIPD_REQUIRE"), ","), word) {
		t.Fatal(append([]any{"required but missing: "}, args...)...)
	}
	t.Skip(append([]any{"missing: "}, args...)...)
}
