package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Defaulter is implemented by pointers to the items of lists whose keys have
// defaults: an item is filled in before the file's keys are read onto it.
type Defaulter interface{ SetDefaults() }

// decoder puts nodes into Go values and collects what does not fit.
type decoder struct {
	file string
	errs Errors
}

func (d *decoder) fail(line int, path string, err error) {
	d.errs = append(d.errs, &Error{d.file, line, path, err})
}

// value decodes n into v, which is settable. An empty node leaves a struct or
// a list as it was, so that a section may be there with all keys commented out.
func (d *decoder) value(n *node, v reflect.Value, path string, line int) {
	want := scalar
	text, isText := v.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case isText:
	case v.Kind() == reflect.Pointer:
		to := reflect.New(v.Type().Elem())
		before := len(d.errs)
		d.value(n, to.Elem(), path, line)
		if len(d.errs) == before && n.kind != empty {
			v.Set(to)
		}
		return
	case v.Kind() == reflect.Struct:
		want = mapping
	case v.Kind() == reflect.Slice:
		want = list
	}
	switch {
	case n.kind == refused:
	case n.kind == empty && want == scalar:
		d.fail(line, path, fmt.Errorf("has no value"))
	case n.kind == empty:
	case n.kind != want:
		d.fail(line, path, fmt.Errorf("is %s where %s is expected", n.kind, want))
	case isText:
		if err := text.UnmarshalText([]byte(n.text)); err != nil {
			d.fail(line, path, readable(v.Type(), n.text, err))
		}
	case want == mapping:
		d.fields(n, v, path, line)
	case want == list:
		d.items(n, v, path)
	default:
		if err := setScalar(n, v); err != nil {
			d.fail(line, path, err)
		}
	}
}

func (d *decoder) items(n *node, v reflect.Value, path string) {
	to := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		e := to.Index(i)
		if def, ok := e.Addr().Interface().(Defaulter); ok {
			def.SetDefaults()
		}
		below := element.Item(path, i)
		if item.kind == empty {
			d.fail(item.line, below, fmt.Errorf("has no value"))
			continue
		}
		d.value(item, e, below, item.line)
	}
	v.Set(to)
}

func (d *decoder) fields(n *node, v reflect.Value, path string, line int) {
	known := fieldsOf(v.Type())
	for _, e := range n.entries {
		f, ok := find(known, e.key)
		if !ok {
			d.fail(e.line, element.Join(path, e.key), fmt.Errorf("unknown; known here: %s", keys(known)))
			continue
		}
		d.value(e.value, v.FieldByIndex(f.index), element.Join(path, e.key), e.line)
	}
	for _, f := range known {
		if _, ok := n.get(f.key); f.required && !ok {
			d.fail(line, element.Join(path, f.key), fmt.Errorf("is missing"))
		}
	}
}

// field is one configurable field of a struct.
type field struct {
	key      string
	index    []int
	required bool
}

// fieldsOf lists the fields of a struct type that have a key, in order, those
// of embedded structs in their place.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if f.Anonymous && key == "" && f.Type.Kind() == reflect.Struct {
			for _, below := range fieldsOf(f.Type) {
				below.index = append([]int{i}, below.index...)
				all = append(all, below)
			}
			continue
		}
		if !f.IsExported() || key == "" || key == "-" {
			continue
		}
		all = append(all, field{key, f.Index, f.Tag.Get("config") == "required"})
	}
	return all
}

func find(fields []field, key string) (field, bool) {
	for _, f := range fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

func keys(fields []field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.key
	}
	return strings.Join(names, ", ")
}

var durationType = reflect.TypeFor[time.Duration]()
