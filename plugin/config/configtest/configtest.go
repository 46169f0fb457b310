// Package configtest owns the test that holds a commented configuration file, a
// reference, against the struct that it is read into.
package configtest

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/config"
)

// switchedOff is a key of a reference that is an example only.
var switchedOff = regexp.MustCompile(`(?m)^( *)#([a-z-])`)

// SwitchOn is a reference with its examples switched on.
func SwitchOn(reference string) string { return switchedOff.ReplaceAllString(reference, "$1$2") }

// Comments is what a reference says above each of its keys that a struct has. into
// is as for Covers.
func Comments(t *testing.T, reference string, into any) map[string]string {
	t.Helper()
	doc, lines := read(t, reference, into)
	all := make(map[string]string)
	for _, key := range config.Keys(reflect.TypeOf(into).Elem()) {
		if line, _, ok := doc.Lookup(key.Path); ok {
			all[key.Path] = CommentAbove(lines, line)
		}
	}
	return all
}

// read reads a reference, with its examples switched on, onto into.
func read(t *testing.T, reference string, into any) (*config.Document, []string) {
	t.Helper()
	text := SwitchOn(reference)
	doc, err := config.Parse("reference.yaml", []byte(text), into)
	if err != nil {
		t.Fatal(err)
	}
	return doc, strings.Split(text, "\n")
}

// Covers checks that a reference, with its examples switched on, has every key of a
// struct, and above each what holds if it is left out. into points to one with the
// defaults that is not validated: examples of all kinds do not go together. It
// returns how many keys were looked at.
func Covers(t *testing.T, reference string, into any) (leaves int) {
	t.Helper()
	defaults := reflect.New(reflect.TypeOf(into).Elem()).Elem()
	defaults.Set(reflect.ValueOf(into).Elem())
	doc, lines := read(t, reference, into)
	for _, key := range config.Keys(defaults.Type()) {
		line, value, ok := doc.Lookup(key.Path)
		if !ok {
			t.Errorf("%s is not in the reference", key.Path)
			continue
		}
		comment := CommentAbove(lines, line)
		if comment == "" {
			t.Errorf("%s has no comment", key.Path)
		}
		if !key.Leaf {
			continue
		}
		leaves++
		want, required := defaultOf(t, defaults, key.Path)
		switch stated := statedDefault(comment); {
		case required && !strings.HasSuffix(comment, "Required."):
			t.Errorf("%s: the comment does not end with Required: %q", key.Path, comment)
		case !required && !sameValue(stated, want):
			t.Errorf("%s: the comment says Default: %s, and it is %s", key.Path, stated, want)
		case !required && want != "none" && !sameValue(value, want):
			t.Errorf("%s: the value is %s, and the default %s", key.Path, value, want)
		}
	}
	return leaves
}

// CommentAbove is the block of comment lines directly above line, from 1.
func CommentAbove(lines []string, line int) string {
	var block []string
	for i := line - 2; i >= 0; i-- {
		text, ok := strings.CutPrefix(strings.TrimSpace(lines[i]), "#")
		if !ok {
			break
		}
		block = append(block, strings.TrimSpace(text))
	}
	slices.Reverse(block)
	return strings.Join(block, " ")
}

// statedDefault is what stands behind the last "Default:" of a comment.
func statedDefault(comment string) string {
	i := strings.LastIndex(comment, "Default: ")
	if i < 0 {
		return ""
	}
	stated, _, _ := strings.Cut(comment[i+len("Default: "):], " ")
	return stated
}

// sameValue compares two texts of a value; a duration has several.
func sameValue(a, b string) bool {
	x, errX := time.ParseDuration(a)
	y, errY := time.ParseDuration(b)
	return a == b || errX == nil && errY == nil && x == y
}

// defaultOf walks the defaults down to path and returns the text of its value,
// "none" for one that stands for nothing, and whether it is required.
func defaultOf(t *testing.T, defaults reflect.Value, path string) (text string, required bool) {
	t.Helper()
	v := defaults
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' }) {
		name, _, item := strings.Cut(step, "[")
		// What is below a section that is not there has the defaults of zero.
		if v.Kind() == reflect.Pointer {
			v = reflect.New(v.Type().Elem()).Elem()
		}
		var tag reflect.StructTag
		v, tag = fieldByKey(v, name)
		if !v.IsValid() {
			t.Fatalf("%s: no field for %s", path, name)
		}
		required = tag.Get("config") == "required"
		if item {
			e := reflect.New(v.Type().Elem())
			if d, ok := e.Interface().(config.Defaulter); ok {
				d.SetDefaults()
			}
			v = e.Elem()
		}
	}
	switch {
	case v.Kind() == reflect.Pointer, v.Kind() == reflect.Slice && v.Len() == 0, v.Kind() == reflect.String && v.Len() == 0:
		return "none", required
	case v.Type() == reflect.TypeFor[time.Duration]():
		return v.Interface().(time.Duration).String(), required
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil || len(text) == 0 {
			return "none", required
		}
		return string(text), required
	}
	return fmt.Sprint(v.Interface()), required
}

// fieldByKey finds the field with a yaml key, also in embedded structs.
func fieldByKey(v reflect.Value, key string) (reflect.Value, reflect.StructTag) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			if below, tag := fieldByKey(v.Field(i), key); below.IsValid() {
				return below, tag
			}
		}
		if f.Tag.Get("yaml") == key {
			return v.Field(i), f.Tag
		}
	}
	return reflect.Value{}, ""
}
