package portset

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestParsePortSet(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       string // the text it is written as, "" when it is refused
		err        error
	}{
		{"usual", "6/8/52", "6/8/52", nil},
		{"whole", "0/0/0", "0/0/0", nil},
		{"whole loses its offset", "6/0/0", "0/0/0", nil},
		{"one port", "0/16/65535", "0/16/65535", nil},
		{"psid too wide", "6/8/256", "", ErrPSID},
		{"psid beyond 16 bits", "0/16/65536", "", ErrPSID},
		{"psid of a whole address", "0/0/1", "", ErrPSID},
		{"too many bits", "9/8/0", "", ErrParams},
		{"offset beyond a byte", "256/8/0", "", ErrParams},
		{"empty", "", "", ErrSyntax},
		{"two fields", "6/8", "", ErrSyntax},
		{"four fields", "6/8/5/2", "", ErrSyntax},
		{"empty field", "6//52", "", ErrSyntax},
		{"leading zero", "6/08/52", "", ErrSyntax},
		{"sign", "6/8/+52", "", ErrSyntax},
		{"negative", "6/8/-1", "", ErrSyntax},
		{"blank", "6/8/ 52", "", ErrSyntax},
		{"hexadecimal", "6/8/0x34", "", ErrSyntax},
		{"not ASCII digits", "6/8/५", "", ErrSyntax},
		{"long number", "6/8/" + strings.Repeat("9", 1000), "", ErrSyntax},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := ParsePortSet(row.text)
			if !errors.Is(err, row.err) {
				t.Fatalf("error %v, want %v", err, row.err)
			}
			if err == nil && s.String() != row.want {
				t.Fatalf("read as %v, want %v", s, row.want)
			}
			if err != nil && (s != PortSet{} || len(err.Error()) > 200) {
				t.Fatalf("%v with an error of %d bytes: %v", s, len(err.Error()), err)
			}
		})
	}
}

func TestParseParams(t *testing.T) {
	for _, row := range []struct {
		name, text, want string
		err              error
	}{
		{"usual", "6/8", "6/8", nil},
		{"offset without length", "16/0", "0/0", nil},
		{"too many bits", "16/1", "", ErrParams},
		{"length beyond a byte", "0/257", "", ErrParams},
		{"port set", "6/8/52", "", ErrSyntax},
		{"one field", "6", "", ErrSyntax},
		{"words", "six/eight", "", ErrSyntax},
		{"bad length", "6/", "", ErrSyntax},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, err := ParseParams(row.text)
			if !errors.Is(err, row.err) {
				t.Fatalf("error %v, want %v", err, row.err)
			}
			if err == nil && p.String() != row.want {
				t.Fatalf("read as %v, want %v", p, row.want)
			}
		})
	}
}

func TestParseRange(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       Range
		err        error
	}{
		{"usual", "1024-2047", Range{1024, 2047}, nil},
		{"all", "0-65535", Range{0, 65535}, nil},
		{"one port", "5351", Range{5351, 5351}, nil},
		{"one port twice", "80-80", Range{80, 80}, nil},
		{"descending", "2047-1024", Range{}, ErrSyntax},
		{"beyond 65535", "0-65536", Range{}, ErrSyntax},
		{"open", "1024-", Range{}, ErrSyntax},
		{"no first", "-1024", Range{}, ErrSyntax},
		{"three ports", "1-2-3", Range{}, ErrSyntax},
		{"empty", "", Range{}, ErrSyntax},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := ParseRange(row.text)
			if !errors.Is(err, row.err) || r != row.want {
				t.Fatalf("%v, %v, want %v, %v", r, err, row.want, row.err)
			}
		})
	}
}

// TestTextRoundTrip writes and reads every set.
func TestTextRoundTrip(t *testing.T) {
	for _, p := range allParams(t) {
		if back, err := ParseParams(p.String()); err != nil || back != p {
			t.Fatalf("%v read back as %v, %v", p, back, err)
		}
		for psid := range p.Sets() {
			s := mustNew(t, p, psid)
			if back, err := ParsePortSet(s.String()); err != nil || back != s {
				t.Fatalf("%v read back as %v, %v", s, back, err)
			}
		}
	}
}

func TestJSON(t *testing.T) {
	type document struct {
		Set    PortSet
		Params Params
		Range  Range
	}
	s, err := Of(6, 8, 52)
	if err != nil {
		t.Fatal(err)
	}
	in := document{s, s.Params(), Range{1232, 1235}}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"Set":"6/8/52","Params":"6/8","Range":"1232-1235"}`; string(text) != want {
		t.Fatalf("written as %s, want %s", text, want)
	}
	var out document
	if err := json.Unmarshal(text, &out); err != nil || out != in {
		t.Fatalf("read back as %v, %v", out, err)
	}
	before := out
	for _, bad := range []string{`{"Set":"6/8/256"}`, `{"Params":"9/8"}`, `{"Range":"2-1"}`} {
		if err := json.Unmarshal([]byte(bad), &out); err == nil || out != before {
			t.Fatalf("%s: %v, %v", bad, out, err)
		}
	}
}
