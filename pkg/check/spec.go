package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// specs has a value of every type of check, so that one can be made by its word.
var specs = map[string]Spec{
	"dns":     DNS{},
	"exec":    Exec{},
	"file":    File{},
	"group":   Group{},
	"grpc":    GRPC{},
	"http":    HTTP{},
	"icmp":    ICMP{},
	"process": Process{},
	"tcp":     TCP{},
	"tls":     TLS{},
	"unit":    Unit{},
}

// Specs returns a zero value of every type of check, by its word.
func Specs() map[string]Spec {
	all := make(map[string]Spec, len(specs))
	for word, s := range specs {
		all[word] = s
	}
	return all
}

// plain is Config without its methods.
type plain Config

// document is a Config in JSON: what Spec is has to be said beside it.
type document struct {
	plain
	Type string
	Spec json.RawMessage
}

// MarshalJSON implements json.Marshaler.
func (c Config) MarshalJSON() ([]byte, error) {
	d := document{plain: plain(c)}
	if c.Spec != nil {
		d.Type = c.Spec.Type()
		raw, err := json.Marshal(c.Spec)
		if err != nil {
			return nil, fmt.Errorf("write the spec of a check of type %s: %w", d.Type, err)
		}
		d.Spec = raw
	}
	return json.Marshal(d)
}

// UnmarshalJSON implements json.Unmarshaler. A type of check or a field that is
// not known is an error.
func (c *Config) UnmarshalJSON(raw []byte) error {
	var d document
	if err := strict(raw, &d); err != nil {
		return err
	}
	d.plain.Spec = nil
	if d.Type != "" {
		zero, ok := specs[d.Type]
		if !ok {
			return fmt.Errorf("no type of check is named %q", d.Type)
		}
		spec := reflect.New(reflect.TypeOf(zero))
		if err := strict(d.Spec, spec.Interface()); err != nil {
			return fmt.Errorf("read the spec of a check of type %s: %w", d.Type, err)
		}
		d.plain.Spec = spec.Elem().Interface().(Spec)
	}
	*c = Config(d.plain)
	return nil
}

func strict(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}
