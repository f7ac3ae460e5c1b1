package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in, want string
		ok             bool
	}{
		{"passes, subtests count instead of their parent", `
			{"Action":"run","Package":"github.com/vipd/vipd/pkg/a","Test":"T"}
			{"Action":"run","Package":"github.com/vipd/vipd/pkg/a","Test":"T/x"}
			{"Action":"output","Package":"github.com/vipd/vipd/pkg/a","Test":"T/x","Output":"noise\n"}
			{"Action":"pass","Package":"github.com/vipd/vipd/pkg/a","Test":"T/x"}
			{"Action":"pass","Package":"github.com/vipd/vipd/pkg/a","Test":"T"}
			{"Action":"pass","Package":"github.com/vipd/vipd/pkg/a","Elapsed":1.25}`,
			"ok   pkg/a (1.2s)\n1 passed, 0 failed\n", true},
		{"a failure is shown and counted once", `
			{"Action":"run","Package":"a","Test":"T"}
			{"Action":"run","Package":"a","Test":"T/x"}
			{"Action":"output","Package":"a","Test":"T/x","Output":"    x_test.go:1: got 1, want 2\n"}
			{"Action":"fail","Package":"a","Test":"T/x"}
			{"Action":"output","Package":"a","Test":"T","Output":"--- FAIL: T\n"}
			{"Action":"fail","Package":"a","Test":"T"}
			{"Action":"output","Package":"a","Output":"FAIL\n"}
			{"Action":"fail","Package":"a","Elapsed":1}`,
			"    x_test.go:1: got 1, want 2\n--- FAIL: T\nFAIL a (1.0s)\n0 passed, 1 failed\n", false},
		{"a package that does not build", `
			{"ImportPath":"a","Action":"build-output","Output":"a.go:1: syntax error\n"}
			{"ImportPath":"a","Action":"build-fail"}
			{"Action":"output","Package":"a","Output":"FAIL a [build failed]\n"}
			{"Action":"fail","Package":"a","Elapsed":0,"FailedBuild":"a"}`,
			"a.go:1: syntax error\nFAIL a [build failed]\nFAIL a (0.0s)\n0 passed, 1 failed\n", false},
		{"skips are told with their reason", `
			{"Action":"output","Package":"a","Test":"T","Output":"=== RUN   T\n"}
			{"Action":"output","Package":"a","Test":"T","Output":"    t_test.go:9: missing: program: keepalived\n"}
			{"Action":"skip","Package":"a","Test":"T"}
			{"Action":"skip","Package":"a","Test":"U"}
			{"Action":"pass","Package":"a","Elapsed":0}
			{"Action":"skip","Package":"b","Elapsed":0}`,
			"ok   a (0.0s)\nskipped 1: missing: program: keepalived\nskipped 1: no reason given\n0 passed, 0 failed\n", true},
		{"go's own words", "go: cannot find main module\n", "go: cannot find main module\nno test was run\n0 passed, 0 failed\n", false},
		{"nothing", "", "no test was run\n0 passed, 0 failed\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			s := newSummary(&out)
			if err := s.read(strings.NewReader(strings.ReplaceAll(strings.TrimPrefix(tt.in, "\n"), "\t", ""))); err != nil {
				t.Fatal(err)
			}
			ok := s.end()
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			if ok != tt.ok {
				t.Errorf("all is well: %v, want %v", ok, tt.ok)
			}
		})
	}
}
