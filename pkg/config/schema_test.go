package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// schemaFile is what editors check a configuration with while it is written. It
// is made from the table of keys; -update writes it anew.
const schemaFile = "../../contrib/schema/vipd.schema.json"

// form is a JSON Schema, or a part of one.
type form = map[string]any

// The forms of durations and of names, as regular expressions.
const (
	durationForm = `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$|^0$`
	nameForm     = `^[A-Za-z0-9][A-Za-z0-9._-]*$`
)

// schema is the JSON Schema of a configuration file: draft 4, which is what
// editors know for TOML. What JSON Schema cannot say is left to check-config.
func schema() form {
	root := form{"$schema": "http://json-schema.org/draft-04/schema#", "title": "vipd.toml",
		"type": "object", "additionalProperties": false, "properties": form{}}
	for _, t := range tables {
		if t.path != "" && !strings.HasSuffix(t.path, "[]") {
			formOf(root, t.path)
		}
	}
	for _, row := range keyRows {
		parent, name := split(row.path)
		f := valueForm(row.kind)
		f["description"] = row.doc + " " + row.facts()
		if row.def != "" {
			if values, err := decode("default = " + row.def); err == nil {
				f["default"] = values["default"]
			}
		}
		if r, ok := row.kind.(rows); ok {
			f["type"], f["items"] = "array", formOf(root, r.pattern)
		}
		properties(formOf(root, parent))[name] = f
	}
	for _, t := range tables { // [vip_defaults] has the keys of [vip.*]
		if like, _ := split(match(t.path, "key")); t.path != "" && like != t.path && tableOf()[like] != nil && tableOf()[t.path+".*"] == nil {
			formOf(root, t.path)["properties"] = properties(formOf(root, like))
		}
	}
	return root
}

func properties(f form) form { return f["properties"].(form) }

// formOf is the form of a table, which is made when there is none.
func formOf(root form, path string) form {
	f := root
	if path == "" {
		return f
	}
	for _, name := range strings.Split(path, ".") {
		bare, isList := strings.CutSuffix(name, "[]")
		in := properties(f)
		if name == "*" {
			if f["patternProperties"] == nil {
				f["patternProperties"] = form{}
			}
			in, bare = f["patternProperties"].(form), nameForm
		}
		next, ok := in[bare].(form)
		if isList && ok && next["items"] != nil {
			next, ok = next["items"].(form), true
		}
		if !ok {
			next = form{"type": "object", "additionalProperties": false, "properties": form{}}
			in[bare] = next
		}
		f = next
	}
	return f
}

// valueForm is the form of a value. A kind that it does not know may be
// anything.
func valueForm(k kind) form {
	table := func(value form) form {
		return form{"type": "object", "additionalProperties": value}
	}
	switch k := k.(type) {
	case integer:
		return form{"type": "integer", "minimum": k.min, "maximum": k.max}
	case boolean:
		return form{"type": "boolean"}
	case choice:
		return form{"enum": []string(k)}
	case checkType:
		return form{"enum": []string(k.choice())}
	case duration, interval:
		return form{"type": "string", "pattern": durationForm}
	case text, address, hostAddress, network, neighborAddress, announcedPrefix, routerID, community, largeCommunity, expression, pairInterval, peerAddress, witnessTTL:
		return form{"type": "string"}
	case listenPort:
		return form{"type": "integer", "minimum": -1, "maximum": 65535}
	case remoteAS:
		return form{"anyOf": []any{form{"type": "integer", "minimum": 1}, form{"enum": []string{"internal", "external"}}}}
	case weight:
		return form{"anyOf": []any{form{"type": "integer", "minimum": -maxWeight, "maximum": maxWeight}, form{"enum": []string{"fault"}}}}
	case medWeight:
		return form{"anyOf": []any{form{"type": "integer", "minimum": 1}, form{"enum": []string{"withdraw"}}}}
	case tracking:
		return form{"anyOf": []any{valueForm(list{k.of}), table(valueForm(weight{}))}}
	case medTracking:
		return form{"anyOf": []any{valueForm(list{nameText}), table(valueForm(medWeight{}))}}
	case list:
		return form{"type": "array", "items": valueForm(k.of)}
	case command:
		return form{"anyOf": []any{form{"type": "string"}, valueForm(list{argument})}}
	case headers, keyring, secretFiles:
		return table(form{"type": "string"})
	case agentOptions:
		return table(form{"anyOf": []any{form{"type": "string"}, form{"type": "integer"}, form{"type": "boolean"}}})
	}
	return form{}
}

// TestSchema: the schema in the tree is the one of the table of keys.
func TestSchema(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(schema()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("go test ./pkg/config -update writes it anew (-keys +file)\n%s", diff)
	}
}

// TestSchemaAccepts: what is valid fits the schema, and what a schema can tell
// to be wrong does not.
func TestSchemaAccepts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../examples/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	plain := schemaOf(t)
	for _, name := range append(files, referenceFile) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, misfit := range misfits(plain, jsonOf(t, string(text)), "") {
			t.Errorf("%s: %s", name, misfit)
		}
	}
	for text, want := range map[string]string{
		"[vip.web]\npriorty = 1":                         ".vip.web.priorty: unknown",
		"[vip.web]\nvrid = 300":                          ".vip.web.vrid: 300 is too large",
		"[vip.web]\nadvert_interval = 1":                 ".vip.web.advert_interval: not a string",
		"[vip.web]\nadvert_interval = \"1\"":             ".vip.web.advert_interval: \"1\" has another form",
		"[vip_defaults]\npreempt = \"no\"":               ".vip_defaults.preempt: not a boolean",
		"[check.a]\ntype = \"htpp\"":                     ".check.a.type: none of the words",
		"[vip.web]\ntrack = [1]":                         ".vip.web.track: fits none",
		"[vip.web]\nroutes = [{ too = \"10.0.0.0/8\" }]": ".vip.web.routes.0.too: unknown",
		"[global]\nname = \"lb1\"":                       ".global: unknown",
		"[vip.\"a b\"]\nvrid = 1":                        ".vip.a b: unknown",
		"[bgp.neighbor.tor]\nremote_as = \"elsewhere\"":  ".bgp.neighbor.tor.remote_as: fits none",
	} {
		if got := misfits(plain, jsonOf(t, text), ""); !slices.Equal(got, []string{want}) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// schemaOf is the schema as a program that reads JSON has it.
func schemaOf(t *testing.T) form {
	t.Helper()
	raw, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var f form
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// jsonOf is a file as JSON values.
func jsonOf(t *testing.T, text string) any {
	t.Helper()
	values, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// misfits says where a value does not fit a schema, as far as our schema goes.
func misfits(f form, value any, at string) []string {
	wrong := func(format string, args ...any) []string { return []string{at + ": " + fmt.Sprintf(format, args...)} }
	if any, ok := f["anyOf"].([]any); ok {
		for _, one := range any {
			if len(misfits(one.(form), value, at)) == 0 {
				return nil
			}
		}
		return wrong("fits none")
	}
	if words, ok := f["enum"].([]any); ok && !slices.Contains(words, value) {
		return wrong("none of the words")
	}
	var list []string
	switch v := value.(type) {
	case string:
		if typ := f["type"]; typ != nil && typ != "string" {
			return wrong("not a %s", typ)
		}
		if p, ok := f["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			return wrong("%q has another form", v)
		}
	case float64:
		if typ := f["type"]; typ != "integer" {
			return wrong("not a %s", typ)
		}
		if most, ok := f["maximum"].(float64); ok && v > most {
			return wrong("%v is too large", v)
		}
		if least, ok := f["minimum"].(float64); ok && v < least {
			return wrong("%v is too small", v)
		}
	case bool:
		if typ := f["type"]; typ != "boolean" {
			return wrong("not a %s", typ)
		}
	case []any:
		if typ := f["type"]; typ != "array" {
			return wrong("not a %s", typ)
		}
		for i, element := range v {
			list = append(list, misfits(f["items"].(form), element, fmt.Sprintf("%s.%d", at, i))...)
		}
	case map[string]any:
		if typ := f["type"]; typ != "object" {
			return wrong("not a %s", typ)
		}
		for name, element := range v {
			list = append(list, misfitsIn(f, name, element, at+"."+name)...)
		}
	}
	return list
}

// misfitsIn is misfits for one key of a table.
func misfitsIn(f form, name string, value any, at string) []string {
	if in, ok := f["properties"].(form); ok && in[name] != nil {
		return misfits(in[name].(form), value, at)
	}
	if in, ok := f["patternProperties"].(form); ok {
		for pattern, sub := range in {
			if regexp.MustCompile(pattern).MatchString(name) {
				return misfits(sub.(form), value, at)
			}
		}
	}
	if sub, ok := f["additionalProperties"].(form); ok {
		return misfits(sub, value, at)
	}
	return []string{at + ": unknown"}
}
