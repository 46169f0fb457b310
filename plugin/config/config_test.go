package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// sample has a field of every kind that can be read.
type sample struct {
	Name     string         `yaml:"name" config:"required"`
	On       bool           `yaml:"on"`
	Small    uint8          `yaml:"small"`
	Signed   int            `yaml:"signed"`
	Wait     time.Duration  `yaml:"wait"`
	Addr     netip.Addr     `yaml:"addr"`
	Prefixes []netip.Prefix `yaml:"prefixes"`
	Level    level          `yaml:"level"`
	Maybe    *uint16        `yaml:"maybe"`
	Items    []item         `yaml:"items"`
	Section  section        `yaml:"section"`
	Shared
	Hidden int
	err    error
}

type item struct {
	ID   int `yaml:"id" config:"required"`
	Size int `yaml:"size"`
}

func (i *item) SetDefaults() { i.Size = 7 }

type section struct {
	Level string `yaml:"level"`
}

// Shared is embedded: its keys stand beside those around it.
type Shared struct {
	Common string `yaml:"common"`
}

// level reads itself.
type level string

func (l *level) UnmarshalText(text []byte) error {
	if string(text) != "high" {
		return fmt.Errorf("%q is no level", text)
	}
	*l = level(text)
	return nil
}

func (s *sample) Validate() error { return s.err }

func TestParse(t *testing.T) {
	const text = `# a comment
name: "a name"
on: true
small: 255
signed: -12
wait: 1m30s
addr: 2001:db8::1
prefixes: [192.0.2.0/24, "198.51.100.0/24"]
level: high
maybe: 0
items:
  - id: 1
  - {id: 2, size: 0}
section:
  level: 'x'
common: c
`
	got := sample{Section: section{Level: "default"}, Hidden: 3}
	doc, err := Parse("f", []byte(text), &got)
	if err != nil {
		t.Fatal(err)
	}
	zero := uint16(0)
	want := sample{
		Name: "a name", On: true, Small: 255, Signed: -12, Wait: 90 * time.Second,
		Addr:     netip.MustParseAddr("2001:db8::1"),
		Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24")},
		Level:    "high", Maybe: &zero,
		Items:   []item{{1, 7}, {2, 0}},
		Section: section{"x"}, Shared: Shared{"c"}, Hidden: 3,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for path, wantLine := range map[string]int{"name": 2, "items": 11, "items[1]": 13, "items[1].size": 13, "section.level": 15} {
		if line, _, ok := doc.Lookup(path); !ok || line != wantLine {
			t.Errorf("Lookup(%q) = line %d, %t; want line %d", path, line, ok, wantLine)
		}
	}
	if _, _, ok := doc.Lookup("items[2].size"); ok {
		t.Error("Lookup finds an element that is not there")
	}
}

func TestDefaultsStay(t *testing.T) {
	got := sample{Small: 4, Section: section{Level: "info"}, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	// Sections whose keys are all commented out.
	if _, err := Parse("f", []byte("name: n\nsection:\n  # level: debug\nprefixes:\n"), &got); err != nil {
		t.Fatal(err)
	}
	if got.Small != 4 || got.Section.Level != "info" || len(got.Prefixes) != 1 {
		t.Errorf("defaults were lost: %+v", got)
	}
}

func TestErrorsHavePlaces(t *testing.T) {
	known := "; known here: name, on, small, signed, wait, addr, prefixes, level, maybe, items, section, common"
	tests := []struct {
		name, text string
		want       []string
	}{
		{"unknown key", "name: n\nnmae: x", []string{`f:2: nmae: unknown` + known}},
		{"unknown key deeper", "name: n\nsection:\n  lvl: x\n", []string{"f:3: section.lvl: unknown; known here: level"}},
		{"unknown key in a list", "name: n\nitems:\n- id: 1\n- id: 2\n  x: 1", []string{"f:5: items[1].x: unknown; known here: id, size"}},
		{"missing", "on: true", []string{"f: name: is missing"}},
		{"missing in a list", "name: n\nitems:\n- size: 1", []string{"f:3: items[0].id: is missing"}},
		{"empty file", "", []string{"f: name: is missing"}},
		{"twice", "name: n\non: true\nname: m", []string{"f:3: name: given twice, first in line 1"}},
		{"no value", "name:", []string{"f:1: name: has no value"}},
		{"empty item", "name: n\nprefixes:\n- 192.0.2.0/24\n-\n", []string{"f:4: prefixes[1]: has no value"}},
		{"scalar for a section", "name: n\nsection: x", []string{"f:2: section: is a single value where a set of keys is expected"}},
		{"scalar for a list", "name: n\nprefixes: 192.0.2.0/24", []string{"f:2: prefixes: is a single value where a list is expected"}},
		{"list for a scalar", "name: [n]", []string{"f:1: name: is a list where a single value is expected"}},
		{"section for a scalar", "name: {a: b}", []string{"f:1: name: is a set of keys where a single value is expected"}},
		{"list at the top", "- name: n", []string{"f:1: is a list where a set of keys is expected"}},
		{"all of them", "nmae: x\nsmall: 256\nsigned: x\nwait: 5\naddr: 1.2.3\non: yes\nprefixes: [1.2.3.4]\nlevel: low\nmaybe: -1",
			[]string{
				"f: name: is missing",
				"f:1: nmae: unknown" + known,
				`f:2: small: "256" is not a whole decimal number from 0 to 255`,
				`f:3: signed: "x" is not a whole decimal number from -9223372036854775808 to 9223372036854775807`,
				`f:4: wait: "5" is not a duration with a unit, such as 2s, 500ms or 30m`,
				`f:5: addr: "1.2.3" is not an IP address`,
				`f:6: on: "yes" is neither true nor false`,
				`f:7: prefixes[0]: "1.2.3.4" is not an IP prefix such as 192.0.2.0/24`,
				`f:8: level: "low" is no level`,
				`f:9: maybe: "-1" is not a whole decimal number from 0 to 65535`,
			}},
		{"octal", "name: n\nsmall: 010", []string{`f:2: small: "010" is not a whole decimal number from 0 to 255`}},
		{"hexadecimal", "name: n\nsmall: 0x10", []string{`f:2: small: "0x10" is not a whole decimal number from 0 to 255`}},
		{"fraction", "name: n\nsmall: 1.5", []string{`f:2: small: "1.5" is not a whole decimal number from 0 to 255`}},
		{"underscores", "name: n\nsigned: 1_000", []string{`f:2: signed: "1_000" is not a whole decimal number from -9223372036854775808 to 9223372036854775807`}},
		{"anchor", "name: &a n\ncommon: *a", []string{
			"f:1: name: anchors and aliases are not read; write the value out",
			"f:2: common: anchors and aliases are not read; write the value out"}},
		{"tag", "name: !!str n", []string{"f:1: name: tags such as !!str are not read"}},
		{"second document", "name: n\n---\nname: m", []string{"f:3: a second document; a file holds one"}},
		{"not UTF-8", "name: n\n\xff", []string{"f:2: not a text file in UTF-8"}},
		{"terminal escapes", "name: n\n\"\x1b[2J\": 1\n", []string{`f:2: \x1b[2J: unknown` + known}},
		{"deep", "name: n\nitems: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), []string{"f:2: values nest deeper than 32"}},
		{"deep dashes", "name: n\nitems:\n " + strings.Repeat("- ", 40) + "x", []string{"f:3: values nest deeper than 32"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f", []byte(tt.text), new(sample))
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(tt.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSyntaxErrorHasLine(t *testing.T) {
	for name, text := range map[string]string{
		"unclosed bracket": "name: n\nprefixes: [a, b\n",
		"unclosed quote":   "name: n\ncommon: \"x\n",
		"tab":              "name: n\nsection:\n\tlevel: x\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f", []byte(text), new(sample))
			if err == nil {
				t.Fatal("accepted")
			}
			got := err.Error()
			if !strings.HasPrefix(got, "f:2: not YAML: ") && !strings.HasPrefix(got, "f:3: not YAML: ") {
				t.Errorf("got %q", got)
			}
			if strings.Contains(got, "\n") {
				t.Errorf("more than one line: %q", got)
			}
		})
	}
}

func TestValidateGetsPlaces(t *testing.T) {
	cause := errors.New("is bad")
	s := sample{err: errors.Join(
		element.At("section", element.Errorf("level", "is unknown: %w", cause)),
		element.At(element.Item("items", 1), element.At("nothere", cause)),
		cause,
	)}
	_, err := Parse("f", []byte("name: n\nitems:\n- id: 1\n- id: 2\nsection:\n  level: x\n"), &s)
	want := []string{"f: is bad", "f:4: items[1].nothere: is bad", "f:6: section.level: is unknown: is bad"}
	if err == nil {
		t.Fatal("the error of Validate is lost")
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is hidden from errors.Is")
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Error("the errors are not *Error")
	}
}

func TestProblems(t *testing.T) {
	err := errors.Join(
		Errors{{File: "f", Line: 3, Element: "a[0].b", Err: errors.New("is wrong")}, {File: "f", Err: errors.New("is empty")}},
		element.At("c", errors.New("is missing")),
		errors.New("is late"),
	)
	want := []Problem{{"f", 3, "a[0].b", "is wrong"}, {"f", 0, "", "is empty"}, {"", 0, "c", "is missing"}, {"", 0, "", "is late"}}
	if diff := cmp.Diff(want, Problems(err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if none := Problems(nil); none == nil || len(none) > 0 {
		t.Errorf("no error makes %#v, want an empty list", none)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	text := "name: n\n" + strings.Repeat("items: 1\n", 5000)
	_, err := Parse("f", []byte(text), new(sample))
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatalf("got %T, want Errors", err)
	}
	if len(errs) != maxErrors+1 {
		t.Errorf("%d errors, want %d and one that counts the rest", len(errs), maxErrors)
	}
	if last := errs[len(errs)-1].Error(); !strings.HasSuffix(last, "more errors are not shown") {
		t.Errorf("last line is %q", last)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lw4o6.yaml")
	if err := os.WriteFile(path, []byte("name: n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var s sample
	if _, err := Load(path, &s); err != nil || s.Name != "n" {
		t.Fatalf("Load: %v, %+v", err, s)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path, want string }{
		{"no file", filepath.Join(dir, "none"), "no such file or directory"},
		{"a directory", dir, "is a directory"},
		{"too large", large, "is larger than 4194304 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(tt.path, &s)
			if want := tt.path + ": " + tt.want; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
	if _, err := Load(filepath.Join(dir, "none"), &s); !errors.Is(err, os.ErrNotExist) {
		t.Error("a missing file is not os.ErrNotExist")
	}
}

func TestWrongTargetIsAnError(t *testing.T) {
	for name, into := range map[string]any{"nil": nil, "value": sample{}, "nil pointer": (*sample)(nil), "no struct": new(int)} {
		if _, err := Parse("f", nil, into); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	var into struct {
		F map[string]int `yaml:"f"`
	}
	if _, err := Parse("f", []byte("f: 1"), &into); err == nil {
		t.Error("a field without a text form was set")
	}
}

func TestKeys(t *testing.T) {
	var got []string
	for _, k := range Keys(reflect.TypeFor[sample]()) {
		got = append(got, k.Path)
	}
	want := strings.Fields("name on small signed wait addr prefixes level maybe items items[0].id items[0].size section section.level common")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"name: n\nitems:\n- id: 1\n- {id: 2, size: 3}\n", "a: &x [1]\nb: *x\n", "name: |\n  x\n", "? a\n: b\n",
		"<<: {a: b}\n", "!!x y", "---\n...\n---", "name: \"\\u0000\"\n", "[[[[", "{a: {b: {c: d}}}", "level: high", "wait: 1h",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s sample
		doc, err := Parse("f", data, &s)
		if err == nil && s.Name == "" && !strings.Contains(string(data), "name") {
			t.Error("accepted without what is required")
		}
		if err != nil && doc != nil {
			t.Error("a document with an error")
		}
		var errs Errors
		if err != nil && !errors.As(err, &errs) {
			t.Fatalf("error is %T", err)
		}
		for _, e := range errs {
			if strings.ContainsAny(e.Error(), "\n\x1b") {
				t.Errorf("error is not one printable line: %q", e.Error())
			}
			if e.Line < 0 || e.Line > 1+strings.Count(string(data), "\n")+strings.Count(string(data), "\r") {
				t.Errorf("line %d is not in the file", e.Line)
			}
		}
	})
}

func TestChanged(t *testing.T) {
	a := sample{Name: "n", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Items: []item{{1, 2}}}
	if got := Changed(a, a); got != nil {
		t.Errorf("nothing changed, got %v", got)
	}
	one := uint16(1)
	b := sample{Name: "m", Prefixes: nil, Items: []item{{1, 3}}, Maybe: &one, Section: section{"x"}, Shared: Shared{"c"}, Hidden: 9}
	want := strings.Fields("name prefixes maybe items section.level common")
	if diff := cmp.Diff(want, Changed(a, b)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
