package pcpmsg

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestOptionStructure(t *testing.T) {
	tests := []struct {
		name  string
		wire  []string
		codes []OptionCode // that are read
		valid bool
	}{
		{"none", nil, nil, true},
		{"empty option", []string{"02 00 0000"}, []OptionCode{2}, true},
		{"padded", []string{"82 00 0005 0001 0002 00 000000", "ff 00 0001 aa000000"}, []OptionCode{130, 255}, true},
		{"no padding at the end", []string{"82 00 0005 0001 0002 00"}, nil, false},
		{"longer than the message", []string{"02 00 0000", "01 00 0011", strings.Repeat("00", 16)}, []OptionCode{2}, false},
		{"longest length", []string{"ff 00 ffff 00000000"}, nil, false},
		{"header cut", []string{"02 00"}, nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			options := Options(octets(t, test.wire...))
			switch err := options.Validate(); {
			case test.valid && err != nil:
				t.Errorf("got %v", err)
			case !test.valid:
				checkFault(t, err, MalformedOption)
			}
			var codes []OptionCode
			for o := range options.All() {
				codes = append(codes, o.Code)
			}
			if !slices.Equal(codes, test.codes) {
				t.Errorf("options %v, want %v", codes, test.codes)
			}
		})
	}
}

func TestFind(t *testing.T) {
	options := Options(nil).Append(Option{Code: 7, Data: []byte{1}}).Append(Option{Code: 8, Data: []byte{2}}).
		Append(Option{Code: 7, Data: []byte{3}})
	if o, ok := options.Find(7); !ok || !bytes.Equal(o.Data, []byte{1}) {
		t.Errorf("found %v, %v, want the first one", o, ok)
	}
	if o, ok := options.Find(9); ok {
		t.Errorf("found %v", o)
	}
}

// TestOptionData: each option, written and read, and what its parser refuses.
func TestOptionData(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	address := "20010db8000000000000000000000001"
	check(t, "THIRD_PARTY", ParseThirdParty, ThirdParty(v6), "01 00 0010"+address, nil,
		refused{MalformedOption, make([]byte, 15)}, refused{MalformedOption, make([]byte, 17)}, refused{MalformedOption, nil})
	check(t, "THIRD_PARTY of IPv4", ParseThirdParty, ThirdParty(v4), "01 00 0010 00000000000000000000ffffc0000201", nil)
	check(t, "PREFER_FAILURE", ParsePreferFailure, PreferFailure{}, "02 00 0000", nil, refused{MalformedOption, make([]byte, 4)})
	check(t, "FILTER", ParseFilter, Filter{PrefixLength: 64, Port: 80, Remote: v6}, "03 00 0014 00 40 0050"+address, nil,
		refused{MalformedOption, make([]byte, 16)},
		refused{MalformedOption, octets(t, "00 81 0050", address)},
		refused{MalformedOption, octets(t, "00 5f 0050 00000000000000000000ffffc0000201")},
		refused{MalformedOption, octets(t, "00 01 0050 00000000000000000000ffffc0000201")})
	check(t, "FILTER of IPv4", ParseFilter, Filter{PrefixLength: 96, Remote: v4}, "03 00 0014 00 60 0000 00000000000000000000ffffc0000201", nil)
	check(t, "FILTER of none", ParseFilter, Filter{Remote: v4}, "03 00 0014 00 00 0000 00000000000000000000ffffc0000201", nil)
	check(t, "PORT_SET", ParsePortSet, PortSet{Size: 256, FirstInternal: 1024, Parity: true}, "82 00 0005 0100 0400 01 000000", nil,
		refused{MalformedOption, make([]byte, 4)}, refused{MalformedOption, make([]byte, 6)})
	check(t, "PORT_SET of no port", ParsePortSet, PortSet{}, "82 00 0005 0000 0000 00 000000", nil)
	check(t, "THIRD_PARTY_ID", ParseThirdPartyID, ThirdPartyID("tunnel"), "0d 00 0006 74756e6e656c 0000", slices.Equal[ThirdPartyID],
		refused{UnsuppThirdPartyIDLength, make([]byte, 1017)})

	if got, err := ParseThirdPartyID(make([]byte, 1016)); err != nil || len(got) != 1016 {
		t.Errorf("THIRD_PARTY_ID of 1016 octets: %v", err)
	}
}

// refused is option data that a parser must not take.
type refused struct {
	want ResultCode
	data []byte
}

type typedOption interface{ Append(Options) Options }

func check[T typedOption](t *testing.T, name string, parse func([]byte) (T, error), value T, wire string, same func(a, b T) bool, wrong ...refused) {
	if same == nil {
		same = func(a, b T) bool { return any(a) == any(b) }
	}
	t.Run(name, func(t *testing.T) {
		options := value.Append(Options{0xee})[1:]
		equalWire(t, options, octets(t, wire))
		if err := options.Validate(); err != nil {
			t.Fatal(err)
		}
		option, _, _ := options.cut()
		if got, err := parse(option.Data); err != nil || !same(got, value) {
			t.Errorf("read %v, %v, want %v", got, err, value)
		}
		for _, w := range wrong {
			_, err := parse(w.data)
			var fault *Fault
			if !errors.As(err, &fault) || fault.Result != w.want {
				t.Errorf("%x: got %v, want %s", w.data, err, w.want)
			}
		}
	})
}

// TestDescription: RFC 7220 section 3.
func TestDescription(t *testing.T) {
	tests := []struct {
		name, data string
		valid      bool
	}{
		{"empty, which erases", "", true},
		{"text", "Büro-Kamera", true},
		{"longest", strings.Repeat("x", 1016), true},
		{"too long", strings.Repeat("x", 1017), false},
		{"null-terminated", "text\x00", false},
		{"not UTF-8", "caf\xe9", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, valid := ParseDescription([]byte(test.data))
			if valid != test.valid {
				t.Fatalf("valid is %v", valid)
			}
			if !valid {
				return
			}
			option, _, _ := got.Append(nil).cut()
			if string(got) != test.data || option.Code != CodeDescription || string(option.Data) != test.data {
				t.Fatalf("read %q, wrote %v", got, option)
			}
		})
	}
}

// TestMandatory: RFC 6887 section 7.3.
func TestMandatory(t *testing.T) {
	for code, want := range map[OptionCode]bool{
		0: true, CodeThirdParty: true, CodePreferFailure: true, CodeFilter: true, CodeThirdPartyID: true, 127: true,
		CodeDescription: false, CodePortSet: false, 255: false,
	} {
		if code.Mandatory() != want {
			t.Errorf("%s: %v", code, !want)
		}
	}
}
