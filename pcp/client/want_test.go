package client

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

var (
	testNonce = pcpmsg.Nonce{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	testB4    = netip.MustParseAddr("2001:db8:100::1")
	testSet   = netip.MustParseAddrPort("192.0.2.5:26624")
)

// softwire is what a lwB4 wants.
func softwireWant() Want {
	return Want{Nonce: testNonce, InternalPort: 1, Ports: pcpmsg.AllPorts, Lifetime: 24 * time.Hour}
}

// TestRequestBytes: the requests of RFC 7753 section 5.2, and what becomes of
// them when the mapping is renewed and deleted.
func TestRequestBytes(t *testing.T) {
	tests := []struct {
		name      string
		client    netip.Addr
		suggested netip.AddrPort
		deletion  bool
		wire      string
	}{
		{
			"over IPv6", testB4, netip.AddrPort{}, false,
			"020100000001518020010db80100000000000000000000010102030405060708090a0b0c000000000001000000000000000000000000ffff0000000082000005ffff000100000000",
		},
		{
			"over IPv4", netip.MustParseAddr("192.0.0.2"), netip.AddrPort{}, false,
			"020100000001518000000000000000000000ffffc00000020102030405060708090a0b0c000000000001000000000000000000000000ffff0000000082000005ffff000100000000",
		},
		{
			"renewal", testB4, testSet, false,
			"020100000001518020010db80100000000000000000000010102030405060708090a0b0c000000000001680000000000000000000000ffffc000020582000005ffff000100000000",
		},
		{
			"deletion", testB4, testSet, true,
			"020100000000000020010db80100000000000000000000010102030405060708090a0b0c000000000001000000000000000000000000ffff0000000082000005ffff000100000000",
		},
		{
			"deletion of an IPv6 mapping", testB4, netip.MustParseAddrPort("[2001:db8::1]:7"), true,
			"020100000000000020010db80100000000000000000000010102030405060708090a0b0c0000000000010000" + strings.Repeat("0", 32) + "82000005ffff000100000000",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := softwireWant()
			if got := hex.EncodeToString(w.append(nil, test.client, test.suggested, test.deletion)); got != test.wire {
				t.Errorf("got  %s\nwant %s", got, test.wire)
			}
		})
	}
}

// TestRequestOptions: which options go into a request, in which order, and which
// of them into a deletion.
func TestRequestOptions(t *testing.T) {
	all := Want{
		Nonce: testNonce, Protocol: 17, InternalPort: 5000, Ports: 1, Lifetime: time.Hour,
		Suggested: testSet, OnlySuggested: true, ThirdParty: testB4, ThirdPartyID: "id", Description: "text",
	}
	set := softwireWant()
	set.ThirdParty, set.Parity = testB4, true
	for _, test := range []struct {
		name     string
		want     Want
		deletion bool
		codes    []pcpmsg.OptionCode
	}{
		{"all", all, false, []pcpmsg.OptionCode{1, 13, 2, 128}},
		{"deletion of all", all, true, []pcpmsg.OptionCode{1, 13}},
		{"port set", set, false, []pcpmsg.OptionCode{1, 130}},
		{"deletion of a port set", set, true, []pcpmsg.OptionCode{1, 130}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.want.Validate(); err != nil {
				t.Fatal(err)
			}
			r, err := pcpmsg.ParseRequest(test.want.append(nil, testB4, test.want.Suggested, test.deletion))
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Options.Validate(); err != nil {
				t.Fatal(err)
			}
			var codes []pcpmsg.OptionCode
			for o := range r.Options.All() {
				codes = append(codes, o.Code)
			}
			if diff := cmp.Diff(test.codes, codes); diff != "" {
				t.Errorf("options, want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestWantValidate(t *testing.T) {
	for name, change := range map[string]func(*Want){
		"no lifetime":                        func(w *Want) { w.Lifetime = 0 },
		"lifetime too long":                  func(w *Want) { w.Lifetime = 1 << 32 * time.Second },
		"only the suggested, of a set":       func(w *Want) { w.OnlySuggested, w.Suggested = true, testSet },
		"only the suggested, which is none":  func(w *Want) { w.Ports, w.InternalPort, w.OnlySuggested = 0, 0, true },
		"identifier without a third party":   func(w *Want) { w.ThirdPartyID = "id" },
		"a port of all protocols and no set": func(w *Want) { w.Ports = 1 },
		"too long":                           func(w *Want) { w.Description = strings.Repeat("x", 1100) },
	} {
		w := softwireWant()
		if err := w.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&w)
		if err := w.Validate(); !errors.Is(err, ErrWant) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMatches: RFC 6887 section 11.4.
func TestMatches(t *testing.T) {
	w := softwireWant()
	third := w
	third.ThirdParty = testB4
	good := grantResponse(&w, testSet, 2048, time.Hour)
	goodThird := grantResponse(&third, testSet, 2048, time.Hour)
	for name, test := range map[string]struct {
		want   Want
		change func(*pcpmsg.Response)
		match  bool
	}{
		"answer":              {w, func(*pcpmsg.Response) {}, true},
		"other opcode":        {w, func(r *pcpmsg.Response) { r.Opcode = pcpmsg.Peer }, false},
		"other nonce":         {w, func(r *pcpmsg.Response) { r.Mapping.Nonce[11]++ }, false},
		"other protocol":      {w, func(r *pcpmsg.Response) { r.Mapping.Protocol = 17 }, false},
		"other internal port": {w, func(r *pcpmsg.Response) { r.Mapping.InternalPort = 2 }, false},
		"other external port": {w, func(r *pcpmsg.Response) { r.Mapping.ExternalPort = 2 }, true},
		// RFC 6887 section 7.3: "PCP clients MUST ignore Options that they do not
		// understand that appear in responses".
		"unknown mandatory option": {w, func(r *pcpmsg.Response) {
			r.Options = append(pcpmsg.Options(nil).Append(pcpmsg.Option{Code: 99, Data: []byte("x")}), r.Options...)
		}, true},
		"third party not asked": {w, func(r *pcpmsg.Response) { r.Options = goodThird.Options }, false},
		"third party":           {third, func(r *pcpmsg.Response) { r.Options = goodThird.Options }, true},
		"third party left out":  {third, func(*pcpmsg.Response) {}, false},
		"other third party":     {third, func(r *pcpmsg.Response) { r.Options = pcpmsg.ThirdParty(testSet.Addr()).Append(nil) }, false},
		"third party of 3 octets": {third, func(r *pcpmsg.Response) {
			r.Options = pcpmsg.Options(nil).Append(pcpmsg.Option{Code: 1, Data: []byte("abc")})
		}, false},
	} {
		r := good
		test.change(&r)
		if got := test.want.Matches(&r); got != test.match {
			t.Errorf("%s: matches is %v", name, got)
		}
	}
}

// grantResponse is what a server answers that gives ports ports from external
// on, without translating them.
func grantResponse(w *Want, external netip.AddrPort, ports uint16, lifetime time.Duration) pcpmsg.Response {
	r := pcpmsg.Response{Opcode: pcpmsg.Map, Lifetime: uint32(lifetime / time.Second), Epoch: 100}
	r.Mapping = pcpmsg.Mapping{
		Nonce: w.Nonce, Protocol: w.Protocol, InternalPort: w.InternalPort,
		External: external.Addr(), ExternalPort: external.Port(),
	}
	if w.ThirdParty.IsValid() {
		r.Options = pcpmsg.ThirdParty(w.ThirdParty).Append(r.Options)
	}
	if ports > 1 {
		r.Options = pcpmsg.PortSet{Size: ports, FirstInternal: external.Port()}.Append(r.Options)
	}
	return r
}

func TestGrant(t *testing.T) {
	w := softwireWant()
	few := w
	few.Ports, few.InternalPort = 100, 5000
	all := Want{Nonce: testNonce, Lifetime: time.Hour}
	one := Want{Nonce: testNonce, Protocol: 17, InternalPort: 80, Lifetime: time.Hour}
	option := func(p pcpmsg.PortSet) pcpmsg.Options { return p.Append(nil) }
	tests := []struct {
		name     string
		want     Want
		external uint16
		options  pcpmsg.Options
		grant    Grant  // ports only
		set      string // as a port set; empty is none
	}{
		{"softwire", w, 26624, option(pcpmsg.PortSet{Size: 2048, FirstInternal: 26624}), Grant{ExternalPort: 26624, InternalPort: 26624, Ports: 2048}, "0/5/13"},
		{"not aligned", w, 1000, option(pcpmsg.PortSet{Size: 2048, FirstInternal: 1000}), Grant{ExternalPort: 1000, InternalPort: 1000, Ports: 2048}, ""},
		{"no power of two", w, 3000, option(pcpmsg.PortSet{Size: 1000, FirstInternal: 3000}), Grant{ExternalPort: 3000, InternalPort: 3000, Ports: 1000}, ""},
		{"translated", w, 4096, option(pcpmsg.PortSet{Size: 2048, FirstInternal: 2048}), Grant{ExternalPort: 4096, InternalPort: 2048, Ports: 2048}, ""},
		{"one port of a set", w, 26624, nil, Grant{ExternalPort: 26624, InternalPort: 1, Ports: 1}, ""},
		{"option echoed, not understood", w, 5000, option(pcpmsg.PortSet{Size: pcpmsg.AllPorts, FirstInternal: 1}), Grant{ExternalPort: 5000, InternalPort: 1, Ports: 1}, ""},
		{"more than was asked for", few, 4096, option(pcpmsg.PortSet{Size: 128, FirstInternal: 4096}), Grant{ExternalPort: 4096, InternalPort: 5000, Ports: 1}, ""},
		{"empty set", w, 26624, option(pcpmsg.PortSet{FirstInternal: 26624}), Grant{ExternalPort: 26624, InternalPort: 1, Ports: 1}, ""},
		{"whole address", all, 0, nil, Grant{Ports: 65536}, "0/0/0"},
		{"one port", one, 8080, nil, Grant{ExternalPort: 8080, InternalPort: 80, Ports: 1}, ""},
		{"set that was not asked for", one, 8080, option(pcpmsg.PortSet{Size: 2, FirstInternal: 80}), Grant{ExternalPort: 8080, InternalPort: 80, Ports: 1}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := grantResponse(&test.want, netip.AddrPortFrom(testSet.Addr(), test.external), 1, time.Hour)
			r.Options = test.options
			got := grantOf(&test.want, &r, time.Hour)
			test.grant.External, test.grant.Lifetime = testSet.Addr(), time.Hour
			if got != test.grant {
				t.Fatalf("got %+v, want %+v", got, test.grant)
			}
			set, err := got.PortSet()
			if test.set == "" {
				if !errors.Is(err, ErrNoPortSet) {
					t.Fatalf("as a port set %v, %v", set, err)
				}
				return
			}
			if want, _ := portset.ParsePortSet(test.set); err != nil || set != want {
				t.Fatalf("as a port set %v, %v, want %s", set, err, test.set)
			}
		})
	}
	if _, err := (Grant{External: testB4, Ports: 1024}).PortSet(); !errors.Is(err, ErrNoPortSet) {
		t.Errorf("IPv6: %v", err)
	}
}
