package control

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/vipd/vipd/pkg/engine"
	"github.com/vipd/vipd/pkg/engine/whatif"
)

// After an upgrade and before the restart that follows, the program on the disk asks a
// daemon of the release before it. Within one version of a schema that works; what
// only one of the two knows is a problem with this hint.
const otherRelease = "daemon and program may be of two releases: compare vipd version with node.version in vipd status --json"

// schemas are those that this release reads.
var schemas = []string{
	schemaStatus, schemaVIP, schemaVIPs, schemaService, schemaAnycast, schemaBGP, schemaWhy, schemaChecks, schemaCheck, schemaRun, schemaFences,
	schemaTest, schemaDrill, schemaAnswer, schemaReload, schemaHealth, schemaProblem, engine.EventSchema, whatif.Schema,
}

// Decode reads a document of a daemon. One of a schema that this release does not know
// is a [Problem]: what it says must not be guessed at.
func Decode(raw []byte, from string, into any) error {
	var doc struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return fmt.Errorf("read the answer to %s: %w", from, err)
	}
	if !slices.Contains(schemas, doc.Schema) {
		p := problem(ProblemInternal, fmt.Sprintf("the daemon answers %s with %q, which this program does not know", from, doc.Schema))
		p.Hint = otherRelease
		return p
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read the answer to %s: %w", from, err)
	}
	return nil
}

// foreign adds to a problem of the daemon that it may be of another release: it has no
// such path, or takes no such request.
func (p *Problem) foreign() {
	path := p.Type == ProblemNotFound && strings.HasPrefix(p.Detail, noPath)
	body := p.Type == ProblemRequest && strings.HasPrefix(p.Detail, badBody)
	if p.Hint == "" && (path || body || p.Type == ProblemMethod) {
		p.Hint = otherRelease
	}
}
