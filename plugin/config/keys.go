package config

import (
	"encoding"
	"reflect"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Key is one key that a file may hold.
type Key struct {
	Path string       // as in errors, but with [0] for each item of a list
	Type reflect.Type // of the Go value
	Leaf bool         // a single value, or a list of them
}

// Keys lists every key that Load would read onto a value of the struct type t,
// in order, sections before what is in them.
func Keys(t reflect.Type) []Key { return keysBelow(t, "") }

func keysBelow(t reflect.Type, path string) []Key {
	var all []Key
	for _, f := range fieldsOf(t) {
		at := element.Join(path, f.key)
		typ := t.FieldByIndex(f.index).Type
		section, below := sectionOf(typ)
		all = append(all, Key{at, typ, section == nil})
		if section != nil {
			all = append(all, keysBelow(section, at+below)...)
		}
	}
	return all
}

// sectionOf returns the struct that a key of type t holds or lists, nil for a
// leaf, and what its path adds.
func sectionOf(t reflect.Type) (section reflect.Type, below string) {
	for {
		switch {
		case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
			return nil, ""
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
		case t.Kind() == reflect.Slice:
			t, below = t.Elem(), below+"[0]"
		case t.Kind() == reflect.Struct:
			return t, below
		default:
			return nil, ""
		}
	}
}
