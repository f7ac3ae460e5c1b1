package replay

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vipd/vipd/pkg/check"
	"github.com/vipd/vipd/pkg/engine"
)

// TestEveryEvent compares the types that can be written with those that the
// engine takes.
func TestEveryEvent(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "event" && f.Recv != nil {
			want = append(want, f.Recv.List[0].Type.(*ast.Ident).Name)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(types))); diff != "" || len(want) == 0 {
		t.Errorf("events of the engine (-) and of recordings (+):\n%s", diff)
	}
}

// filler gives every field of a value something that no other field has.
type filler struct {
	t    *testing.T
	n    int
	spec check.Spec // what interfaces of that kind get
}

// opaque are types that are filled as a whole.
var opaque = map[reflect.Type]func(n int) any{
	reflect.TypeFor[time.Time](): func(n int) any {
		return time.Date(2026, 1, 1, 0, 0, n, n, time.UTC)
	},
	reflect.TypeFor[netip.Addr](): func(n int) any {
		return netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)})
	},
	reflect.TypeFor[netip.Prefix](): func(n int) any {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), n%33)
	},
	reflect.TypeFor[netip.AddrPort](): func(n int) any {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), uint16(n))
	},
	reflect.TypeFor[*regexp.Regexp](): func(n int) any {
		return regexp.MustCompile(fmt.Sprintf(`^\d "%d"$`, n))
	},
}

func (f *filler) fill(v reflect.Value, path string) {
	f.n++
	if whole, ok := opaque[v.Type()]; ok {
		v.Set(reflect.ValueOf(whole(f.n)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("%s %d \"\n<é>", path, f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Int16, reflect.Int8:
		v.SetInt(int64(f.n % 100))
	case reflect.Uint, reflect.Uint64, reflect.Uint32, reflect.Uint16, reflect.Uint8:
		v.SetUint(uint64(f.n % 100))
	case reflect.Float64:
		v.SetFloat(float64(f.n) + 0.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0), path)
		f.fill(v.Index(1), path)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key, path)
			f.fill(value, path)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() {
				f.t.Errorf("%s.%s would be lost: it is not exported", path, field.Name)
				continue
			}
			f.fill(v.Field(i), path+"."+field.Name)
		}
	case reflect.Interface:
		if v.Type() != reflect.TypeFor[check.Spec]() {
			f.t.Fatalf("%s: no value for an interface of type %s", path, v.Type())
		}
		spec := reflect.New(reflect.TypeOf(f.spec)).Elem()
		f.fill(spec, path)
		v.Set(spec)
	default:
		f.t.Fatalf("%s: no value for a %s", path, v.Kind())
	}
}

// again writes a step and reads it.
func again(t *testing.T, s Step) Step {
	t.Helper()
	raw, err := AppendStep(nil, s)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(raw), "\n") != 1 {
		t.Fatalf("not one line: %q", raw)
	}
	l := strings.TrimSuffix(string(raw), "\n")
	got, err := parseStep([]byte(l))
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	return got
}

// TestRoundTrip writes and reads every type of event with something in every
// field, with every type of check, and with nothing in any field.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	same := cmp.Options{
		cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}, netip.AddrPort{}),
		cmp.Comparer(func(a, b *regexp.Regexp) bool { return fmt.Sprint(a) == fmt.Sprint(b) }),
	}
	for name, typ := range types {
		for word, spec := range check.Specs() {
			if spec.Type() != word {
				t.Errorf("a check of type %s is under the word %s", spec.Type(), word)
			}
			f := &filler{t: t, spec: spec}
			ev := reflect.New(typ).Elem()
			f.fill(ev, name)
			want := Step{At: 361_204_117, Event: ev.Interface().(engine.Event)}
			rec := reflect.New(reflect.TypeFor[engine.Record]()).Elem()
			f.fill(rec, "Record")
			want.Records = timeless([]engine.Record{rec.Interface().(engine.Record)})
			if diff := cmp.Diff(want, again(t, want), same); diff != "" {
				t.Errorf("%s with a check of type %s (-written +read):\n%s", name, word, diff)
			}
		}
		empty := Step{Event: reflect.Zero(typ).Interface().(engine.Event)}
		if diff := cmp.Diff(empty, again(t, empty), same, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("an empty %s (-written +read):\n%s", name, diff)
		}
	}
}
