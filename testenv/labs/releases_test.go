package labs

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vipd/vipd/testenv"
	"github.com/vipd/vipd/testenv/variant"
)

// releases are other releases of vipd, as this one may meet them: what of it is different.
var releases = map[string][]variant.Edit{
	// grown has more to say where older hosts skip it, and nothing else.
	"grown": {
		{File: "cmd/vipd/version.go", Old: `"0.1.0-dev"`, New: `"0.2.0"`},
		{File: "pkg/pair/encode.go", Old: "	return appendText(b, v.Offer)\n", New: "	return append(appendText(b, v.Offer), \"more\"...)\n"},
		{File: "pkg/pair/encode.go", Old: "	return b\n}\n\nfunc appendText", New: "	return append(b, \"more\"...)\n}\n\nfunc appendText"},
		{File: "pkg/pair/encode.go", Old: "appendText(appendText(b, key), Told(s.Config[key]))", New: "append(appendText(appendText(b, key), Told(s.Config[key])), 1, 2, 3)"},
		{File: "pkg/pair/encode.go", Old: "	return f\n", New: "	return f | 1<<7\n"},
		{
			File: "pkg/pair/encode.go", Old: "	parts := len(p.starts)\n",
			New: "	p.item(s, 99, func(b []byte) []byte { return append(b, \"new\"...) })\n	parts := len(p.starts)\n",
		},
		{File: "pkg/engine/drift.go", Old: "		list[key+\"vrid\"] =", New: "		list[key+\"colour\"] = \"blue\"\n		list[\"colour.blue.of\"] = name\n		list[key+\"vrid\"] ="},
		{File: "pkg/vote/wire.go", Old: "askFixed  = 1 + 8 + 8 + 4", New: "askFixed  = 1 + 8 + 8 + 4 + 2"},
		{File: "pkg/vote/wire.go", Old: "	return binary.BigEndian.AppendUint32(b, millis(a.TTL))\n", New: "	return append(binary.BigEndian.AppendUint32(b, millis(a.TTL)), 1, 2)\n"},
		{File: "pkg/vote/wire.go", Old: "answFixed = 1 + 8 + 8 + 1 + 1 + 4", New: "answFixed = 1 + 8 + 8 + 1 + 1 + 4 + 2"},
		{
			File: "pkg/vote/wire.go", Old: "	return binary.BigEndian.AppendUint32(b, millis(a.Remaining+time.Millisecond-1))\n",
			New: "	return append(binary.BigEndian.AppendUint32(b, millis(a.Remaining+time.Millisecond-1)), 1, 2)\n",
		},
		{File: "internal/daemon/held.go", Old: "type heldVIP struct {\n", New: "type heldVIP struct {\n	New []int `json:\"new\"`\n"},
		{File: "internal/control/documents.go", Old: "type Node struct {\n", New: "type Node struct {\n	New [2]int `json:\"new\"`\n"},
	},
	// channel speaks another version of the pair channel.
	"channel": {{File: "pkg/pair/frame.go", Old: "const Version = 1\n", New: "const Version = 2\n"}},
	// files leaves files that this release does not know, and does not know those of this one.
	"files": {
		{File: "internal/daemon/held.go", Old: `"vipd.held/v1"`, New: `"vipd.held/v2"`},
		{File: "internal/daemon/drains.go", Old: `"vipd.drains/v1"`, New: `"vipd.drains/v2"`},
	},
	// rules has another packet filter.
	"rules": {{File: "internal/lease/leave.go", Old: "const rulesVersion = 1\n", New: "const rulesVersion = 2\n"}},
	// control has other documents and requests on the control socket.
	"control": {
		{File: "internal/control/documents.go", Old: `"vipd.status/v1"`, New: `"vipd.status/v2"`},
		{File: "internal/control/documents.go", Old: `"vipd.why/v1"`, New: `"vipd.why/v2"`},
		{File: "internal/control/client.go", Old: `url.PathEscape(name)+"/drill", req`, New: `url.PathEscape(name)+"/exercise", req`},
		{File: "internal/control/routes.go", Old: "/v1/vips/{name}/drill", New: "/v1/vips/{name}/exercise"},
		{File: "internal/control/documents.go", Old: "type DrainRequest struct {\n", New: "type DrainRequest struct {\n	New int `json:\"new\"`\n"},
	},
}

// releaseOf builds another release.
func releaseOf(t *testing.T, name string) (program string) {
	t.Helper()
	testenv.Require(t, "go")
	const root = "../.."
	dir := t.TempDir()
	overlay, err := variant.Overlay(root, dir, releases[name])
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "vipd")
	build := exec.Command("go", "build", "-overlay="+overlay, "-o", program, "./cmd/vipd")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the release %s: %v\n%s", name, err, out)
	}
	return program
}
