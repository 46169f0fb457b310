package pcpmsg

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vector is a message of the example in RFC 7753 section 5.2, a client that
// discovers which ports lead to it, field by field.
var vectors = []struct {
	name     string
	request  *Request
	response *Response
	portSet  PortSet
	wire     []string
}{
	{
		name: "request over IPv6",
		request: &Request{
			Opcode: Map, Lifetime: 86400, Client: netip.MustParseAddr("2001:db8:100::1"),
			Body: Body{Mapping: Mapping{Nonce: vectorNonce, InternalPort: 1, External: netip.IPv4Unspecified()}},
		},
		portSet: PortSet{Size: AllPorts, FirstInternal: 1},
		wire: []string{
			"02 01 0000", "00015180", "20010db8010000000000000000000001",
			"0102030405060708090a0b0c", "00 000000", "0001 0000", "00000000000000000000ffff00000000",
			"82 00 0005", "ffff 0001 00 000000",
		},
	},
	{
		name: "request over IPv4",
		request: &Request{
			Opcode: Map, Lifetime: 86400, Client: netip.MustParseAddr("192.0.0.2"),
			Body: Body{Mapping: Mapping{Nonce: vectorNonce, InternalPort: 1, External: netip.IPv4Unspecified()}},
		},
		portSet: PortSet{Size: AllPorts, FirstInternal: 1},
		wire: []string{
			"02 01 0000", "00015180", "00000000000000000000ffffc0000002",
			"0102030405060708090a0b0c", "00 000000", "0001 0000", "00000000000000000000ffff00000000",
			"82 00 0005", "ffff 0001 00 000000",
		},
	},
	{
		name: "response",
		response: &Response{
			Opcode: Map, Result: Success, Lifetime: 86400, Epoch: 1234,
			Body: Body{Mapping: Mapping{
				Nonce: vectorNonce, InternalPort: 1,
				ExternalPort: 26624, External: netip.MustParseAddr("192.0.2.5"),
			}},
		},
		portSet: PortSet{Size: 2048, FirstInternal: 26624},
		wire: []string{
			"02 81 00 00", "00015180", "000004d2", "000000000000000000000000",
			"0102030405060708090a0b0c", "00 000000", "0001 6800", "00000000000000000000ffffc0000205",
			"82 00 0005", "0800 6800 00 000000",
		},
	},
}

var vectorNonce = Nonce{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			wire := octets(t, v.wire...)
			if v.request != nil {
				v.request.Options = v.portSet.Append(nil)
				got, err := ParseRequest(wire)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, got, *v.request)
				equalWire(t, got.Append(nil), wire)
				checkPortSet(t, got.Options, v.portSet)
				return
			}
			v.response.Options = v.portSet.Append(nil)
			got, err := ParseResponse(wire)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, got, *v.response)
			equalWire(t, got.Append(nil), wire)
			checkPortSet(t, got.Options, v.portSet)
		})
	}
}

func checkPortSet(t *testing.T, options Options, want PortSet) {
	t.Helper()
	if err := options.Validate(); err != nil {
		t.Fatal(err)
	}
	option, ok := options.Find(CodePortSet)
	if !ok {
		t.Fatal("no PORT_SET")
	}
	got, err := ParsePortSet(option.Data)
	if err != nil || got != want {
		t.Fatalf("PORT_SET %+v, %v, want %+v", got, err, want)
	}
}

// octets joins pieces of hexadecimal.
func octets(t *testing.T, pieces ...string) []byte {
	t.Helper()
	var b []byte
	for _, piece := range pieces {
		for _, word := range bytes.Fields([]byte(piece)) {
			octets, err := hex.DecodeString(string(word))
			if err != nil {
				t.Fatal(err)
			}
			b = append(b, octets...)
		}
	}
	return b
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Fatalf("want (-), got (+):\n%s", diff)
	}
}

func equalWire(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("got  %x\nwant %x", got, want)
	}
}
