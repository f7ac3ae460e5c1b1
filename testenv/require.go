package testenv

import (
	"errors"
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
	if forbidden != nil {
		Missing(t, "netns", forbidden)
	}
	if !Isolated() {
		Missing(t, "netns", errors.New("the tests do not run inside testenv.Main"))
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			Missing(t, p[strings.LastIndex(p, "/")+1:], err)
		}
	}
}

// Missing skips the test because of err, or fails it if VIPD_REQUIRE names the
// word.
func Missing(t testing.TB, word string, err error) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("VIPD_REQUIRE"), ","), word) {
		t.Fatalf("required but missing: %s: %v", word, err)
	}
	t.Skipf("missing: %s: %v", word, err)
}
