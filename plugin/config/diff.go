package config

import (
	"reflect"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// Changed lists the keys whose values differ between a and b, two structs of
// the same type, in order. A list counts as one value.
func Changed(a, b any) []string {
	return changedBelow(reflect.ValueOf(a), reflect.ValueOf(b), "")
}

func changedBelow(a, b reflect.Value, path string) []string {
	var all []string
	for _, f := range fieldsOf(a.Type()) {
		at := element.Join(path, f.key)
		x, y := a.FieldByIndex(f.index), b.FieldByIndex(f.index)
		section, below := sectionOf(x.Type())
		switch {
		case section != nil && below == "" && x.Kind() == reflect.Struct:
			all = append(all, changedBelow(x, y, at)...)
		case !reflect.DeepEqual(x.Interface(), y.Interface()):
			all = append(all, at)
		}
	}
	return all
}
