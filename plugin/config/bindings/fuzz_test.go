package bindings

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/config"
)

// fuzzRead reads data and checks what holds for any text: errors are one line
// each with a line of the file, and rows can be made into softwires or refused.
func fuzzRead(t *testing.T, data []byte, format Format) (entries []Entry, failed bool) {
	pools := testPools(t)
	lines := 1 + bytes.Count(data, []byte("\n"))
	Read("f", bytes.NewReader(data), format, func(row Row, err error) bool {
		if err == nil {
			if row.Line < 1 || row.Line > lines {
				t.Errorf("row in line %d of %d", row.Line, lines)
			}
			if s, err := row.Entry.Softwire(pools); err == nil && s.Validate() != nil {
				t.Errorf("softwire %s is not valid", s)
			}
			entries = append(entries, row.Entry)
			return true
		}
		failed = true
		var errs config.Errors
		if !errors.As(err, &errs) {
			t.Fatalf("error is %T", err)
		}
		for _, e := range errs {
			if strings.ContainsAny(e.Error(), "\n\x1b") || e.Line < 0 || e.Line > lines {
				t.Errorf("bad error %q in line %d of %d", e.Error(), e.Line, lines)
			}
		}
		return true
	})
	return entries, failed
}

// FuzzReadYAML compares with the general YAML parser: what both accept must
// have the same meaning, and what this one accepts the other must.
func FuzzReadYAML(f *testing.F) {
	for _, s := range []string{
		"- {binding-ipv4-addr: 192.0.2.1, psid: 1, binding-ipv6info: 2001:db8::1}\n",
		"- binding-ipv4-addr: \"192.0.2.1\" # x\n  binding-ipv6info: 2001:db8::/56\n  psid: 0\n-\n  psid: 1\n",
		"  - {binding-ipv4-addr: '192.0.2.1',binding-ipv6info: ::1 , }\n",
		"- binding-ipv4-addr: 192.0.2.1\n  binding-ipv6info: 2001:db8::\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, failed := fuzzRead(t, data, YAML)
		if failed || bytes.Contains(data, []byte("---")) {
			return
		}
		var want struct {
			Static []Entry `yaml:"static"`
		}
		if _, err := config.Parse("f", append([]byte("static:\n"), data...), &want); err != nil {
			t.Fatalf("accepted what is refused as a part of a configuration: %v", err)
		}
		if len(got) != len(want.Static) || len(got) > 0 && !reflect.DeepEqual(got, want.Static) {
			t.Errorf("got %+v, want %+v", got, want.Static)
		}
	})
}

func FuzzReadCSV(f *testing.F) {
	for _, s := range []string{
		"binding-ipv4-addr,psid,binding-ipv6info\n192.0.2.1,1,2001:db8::1\n",
		"#\nbinding-ipv6info,binding-ipv4-addr\n\"2001:db8::1\", 192.0.2.1\nx\n\"",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { fuzzRead(t, data, CSV) })
}

// FuzzReadJSON compares with the standard library: what is accepted is JSON.
func FuzzReadJSON(f *testing.F) {
	for _, s := range []string{
		`{"ietf-softwire-br:binding-entry": [{"binding-ipv6info": "2001:db8::1", "binding-ipv4-addr": "192.0.2.1", "port-set": {"psid-len": 8, "psid": 52}}]}`,
		`{"ietf-softwire-br:br-instances": {"binding": {"bind-instance": [{"name": "a\u0062", "softwire-num-max": -1.5e3, "icmp-policy": {"x": [null, true, false, {}]}, "binding-table": {}}]}}}`,
		`{"ietf-softwire-br:binding-table": {"binding-entry": [{}, {"x": "\ud800"}]}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, failed := fuzzRead(t, data, JSON); !failed && !json.Valid(data) {
			t.Error("accepted what is not JSON")
		}
	})
}
