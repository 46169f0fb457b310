package pcpmsg

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// mapRequest is a MAP without options.
func mapRequest() Request {
	return Request{
		Opcode: Map, Lifetime: 3600, Client: netip.MustParseAddr("2001:db8::2"),
		Body: Body{Mapping: Mapping{
			Nonce: vectorNonce, Protocol: 17, InternalPort: 5000,
			ExternalPort: 5000, External: netip.MustParseAddr("192.0.2.1"),
		}},
	}
}

func peerRequest() Request {
	r := mapRequest()
	r.Opcode = Peer
	r.Remote = netip.MustParseAddrPort("198.51.100.7:443")
	return r
}

// TestParseRequestFaults: each malformation of a message gets what RFC 6887
// section 8.2 says, also when another one follows.
func TestParseRequestFaults(t *testing.T) {
	whole := func(r Request) []byte { return r.Append(nil) }
	edited := func(b []byte, at int, value byte) []byte { b[at] = value; return b }
	announce := Request{Opcode: Announce, Client: netip.MustParseAddr("2001:db8::2")}
	tests := []struct {
		name string
		b    []byte
		want ResultCode // Success is ErrDrop
	}{
		{"nothing", nil, Success},
		{"1 octet", []byte{2}, Success},
		{"1 octet of another version", []byte{9}, Success},
		{"response", edited(whole(mapRequest()), 1, 0x81), Success},
		{"response of another version", []byte{1, 0x81}, Success},
		{"NAT-PMP of 2 octets", []byte{0, 0}, UnsuppVersion},
		{"NAT-PMP for a port", append([]byte{0, 1}, make([]byte, 10)...), UnsuppVersion},
		{"version 1", edited(whole(mapRequest()), 0, 1), UnsuppVersion},
		{"version 3 and too long", edited(make([]byte, 1104), 0, 3), UnsuppVersion},
		{"2 octets", []byte{2, 1}, Success},
		{"23 octets", whole(announce)[:23], Success},
		{"1104 octets", append(whole(mapRequest()), make([]byte, 1104-60)...), MalformedRequest},
		{"25 octets", append(whole(announce), 0), MalformedRequest},
		{"MAP of a header", whole(mapRequest())[:24], MalformedRequest},
		{"MAP of 56 octets", whole(mapRequest())[:56], MalformedRequest},
		{"PEER of 76 octets", whole(peerRequest())[:76], MalformedRequest},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseRequest(test.b)
			if test.want == Success {
				if !errors.Is(err, ErrDrop) {
					t.Fatalf("got %v, want it dropped", err)
				}
				return
			}
			checkFault(t, err, test.want)
			if got, want := IsNATPMP(err), test.b[0] == 0; got != want {
				t.Errorf("IsNATPMP is %v", got)
			}
		})
	}
}

func checkFault(t *testing.T, err error, want ResultCode) {
	t.Helper()
	var fault *Fault
	if !errors.As(err, &fault) || fault.Result != want {
		t.Fatalf("got %v, want a fault with %s", err, want)
	}
	if !strings.HasPrefix(err.Error(), want.String()+": ") || errors.Is(err, ErrDrop) {
		t.Fatalf("got %q for %s", err, want)
	}
}

// TestRequests: messages of every opcode, read as they were written.
func TestRequests(t *testing.T) {
	withOptions := mapRequest()
	withOptions.Options = PortSet{Size: 3, FirstInternal: 4, Parity: true}.Append(
		Option{Code: 200, Data: []byte("later")}.appendTo(ThirdParty(netip.MustParseAddr("192.0.2.1")).Append(nil)))
	longest := mapRequest()
	longest.Options = Option{Code: 201, Data: make([]byte, MaxLength-60-4)}.appendTo(nil)
	announce := Request{Opcode: Announce, Client: netip.MustParseAddr("192.0.0.2")}
	announceOption := announce
	announceOption.Options = Option{Code: 129, Data: make([]byte, 16)}.appendTo(nil)
	auth := Request{Opcode: Authentication, Client: netip.IPv6Unspecified(), Body: Body{Opaque: make([]byte, 8)}}
	unknown := Request{Opcode: 127, Lifetime: 1, Client: netip.IPv6LinkLocalAllNodes(), Body: Body{Opaque: []byte("\xff\xff\xff\xff")}}
	lengths := map[string]int{
		"MAP": 60, "PEER": 80, "options": 60 + 20 + 12 + 12, "longest": 1100,
		"ANNOUNCE": 24, "ANNOUNCE with an option": 44, "AUTHENTICATION": 32, "unknown opcode": 28,
	}
	requests := map[string]Request{
		"MAP": mapRequest(), "PEER": peerRequest(), "options": withOptions, "longest": longest,
		"ANNOUNCE": announce, "ANNOUNCE with an option": announceOption, "AUTHENTICATION": auth, "unknown opcode": unknown,
	}
	for name, want := range requests {
		t.Run(name, func(t *testing.T) {
			b := want.Append([]byte("before"))
			b, ok := bytes.CutPrefix(b, []byte("before"))
			if !ok || len(b) != lengths[name] {
				t.Fatalf("%d octets, want %d", len(b), lengths[name])
			}
			got, err := ParseRequest(b)
			if err != nil {
				t.Fatal(err)
			}
			if len(want.Options) == 0 {
				want.Options = got.Options // none or empty
			}
			equal(t, got, want)
		})
	}
}

func (o Option) appendTo(options Options) Options { return options.Append(o) }

// TestIgnored: reserved bits and padding are read as if they were zero, and
// written as zero.
func TestIgnored(t *testing.T) {
	r := peerRequest()
	r.Options = PortSet{Size: 1, FirstInternal: 2}.Append(Filter{PrefixLength: 128, Remote: netip.IPv6Unspecified()}.Append(nil))
	want := r.Append(nil)
	noisy := slices.Clone(want)
	for _, at := range []int{2, 3, 37, 38, 39, 62, 63, 81, 84, 105, 113, 114, 115} {
		if noisy[at] != 0 {
			t.Fatalf("octet %d is not reserved", at)
		}
		noisy[at] = 0xff
	}
	noisy[112] = 0xfe // all but the parity bit
	got, err := ParseRequest(noisy)
	if err != nil {
		t.Fatal(err)
	}
	checkPortSet(t, got.Options, PortSet{Size: 1, FirstInternal: 2})
	// Only the parsers of options know of the reserved bits in their data.
	got.Options = nil
	r.Options = nil
	equalWire(t, got.Append(nil), r.Append(nil))
}

// TestAddresses: RFC 6887 section 5.
func TestAddresses(t *testing.T) {
	for text, wire := range map[string]string{
		"192.0.2.5":       "00000000000000000000ffffc0000205",
		"0.0.0.0":         "00000000000000000000ffff00000000",
		"::":              "00000000000000000000000000000000",
		"0:0:1::ffff:1:2": "00000000000100000000ffff00010002", // ones in bits 81-96 are not enough
		"::192.0.2.5":     "000000000000000000000000c0000205",
	} {
		a := netip.MustParseAddr(text)
		equalWire(t, appendAddr(nil, a), octets(t, wire))
		if got := parseAddr(octets(t, wire)); got != a {
			t.Errorf("%s is read as %s, want %s", wire, got, a)
		}
	}
	equalWire(t, appendAddr(nil, netip.Addr{}), make([]byte, 16))
	equalWire(t, appendAddr(nil, netip.MustParseAddr("::ffff:192.0.2.5")), octets(t, "00000000000000000000ffffc0000205"))
}

// TestAppendError: RFC 6887 sections 7.2 and 8.2.
func TestAppendError(t *testing.T) {
	request := mapRequest()
	request.Options = Option{Code: 99, Data: []byte("kept")}.appendTo(nil)
	whole := request.Append(nil)
	tests := []struct {
		name    string
		request []byte
		result  ResultCode
		want    []string
	}{
		{
			"understood", whole, NotAuthorized,
			[]string{"02 81 00 02", "0000012c", "00000539", "000000000000000000000000", hexOf(whole[24:])},
		},
		{
			"not understood", whole, MalformedOption,
			[]string{"02 81 00 06", "0000012c", "00000539", hexOf(whole[12:])},
		},
		{
			"too long", append(slices.Clone(whole), bytes.Repeat([]byte{7}, 1100)...), MalformedRequest,
			[]string{"02 81 00 03", "0000012c", "00000539", hexOf(whole[12:]), strings.Repeat("07", 1100-len(whole))},
		},
		{
			"not a multiple of 4", whole[:61], MalformedRequest,
			[]string{"02 81 00 03", "0000012c", "00000539", hexOf(whole[12:61]), "000000"},
		},
		{
			// RFC 6887 appendix A: compatible with NAT-PMP, whose result code has 16
			// bits at the same place.
			"NAT-PMP", []byte{0, 0}, UnsuppVersion,
			[]string{"02 80 00 01", "0000012c", "00000539", "000000000000000000000000"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := slices.Clone(test.request)
			got := AppendError([]byte{0xee}, test.request, test.result, 300, 1337)
			equalWire(t, got, append([]byte{0xee}, octets(t, test.want...)...))
			equalWire(t, test.request, before)
		})
	}
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }

func TestParseResponseFaults(t *testing.T) {
	response := Response{Opcode: Map, Lifetime: 60, Epoch: 1, Body: mapRequest().Body}
	whole := response.Append(nil)
	edited := func(at int, value byte) []byte { b := slices.Clone(whole); b[at] = value; return b }
	tests := []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"3 octets", []byte{2, 0x81, 0}},
		{"request", edited(1, 1)},
		{"version 3", edited(0, 3)},
		{"header cut", whole[:20]},
		{"MAP of a header", whole[:24]},
		{"not a multiple of 4", append(slices.Clone(whole), 0)},
		{"too long", append(slices.Clone(whole), make([]byte, 1100)...)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := ParseResponse(test.b); !errors.Is(err, ErrDrop) {
				t.Fatalf("got %v, want it dropped", err)
			}
		})
	}
	t.Run("whole", func(t *testing.T) {
		if _, err := ParseResponse(whole); err != nil {
			t.Fatal(err)
		}
	})
}

// TestVersionError: RFC 6887 section 9 and appendix A.
func TestVersionError(t *testing.T) {
	tests := []struct {
		name string
		b    []byte
		want VersionError
	}{
		{"NAT-PMP server", octets(t, "00 80 0001", "00001234"), VersionError{Version: 0}},
		{"version 1", octets(t, "01 81 0001", "00000708"), VersionError{Version: 1, Lifetime: 1800}},
		{"our own server", AppendError(nil, []byte{0, 0}, UnsuppVersion, 1800, 5), VersionError{Version: 2, Lifetime: 1800}},
		{"cut", octets(t, "03 81 0001"), VersionError{Version: 3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseResponse(test.b)
			var got *VersionError
			if !errors.As(err, &got) || *got != test.want {
				t.Fatalf("got %+v, want %+v", err, test.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		Announce.String(): "ANNOUNCE", Authentication.String(): "AUTHENTICATION", Opcode(4).String(): "opcode 4",
		Success.String(): "SUCCESS", ExcessiveRemotePeers.String(): "EXCESSIVE_REMOTE_PEERS",
		UnsuppThirdPartyIDLength.String(): "UNSUPP_THIRD_PARTY_ID_LENGTH", ResultCode(27).String(): "result code 27",
		CodePortSet.String(): "PORT_SET", OptionCode(129).String(): "option 129", vectorNonce.String(): "0102030405060708090a0b0c",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestErrorLifetime: RFC 6887 section 7.4 and RFC 7843 section 4.1.
func TestErrorLifetime(t *testing.T) {
	short := []ResultCode{NetworkFailure, NoResources, UserExQuota, CannotProvideExternal}
	for code := UnsuppVersion; code <= UnsuppThirdPartyIDLength; code++ {
		want := 30 * time.Minute
		if slices.Contains(short, code) {
			want = 30 * time.Second
		}
		if got := code.ErrorLifetime(); got != want {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
	if got := Success.ErrorLifetime(); got != 0 {
		t.Errorf("success: %s", got)
	}
}
