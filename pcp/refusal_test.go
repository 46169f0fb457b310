package pcp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// TestRefusals: what each malformed or unserved request gets, and that it changes
// nothing. Lifetimes are those of RFC 6887 section 7.4.
func TestRefusals(t *testing.T) {
	good := softwireMap(plain, 3600)
	with := func(edit func(*pcpmsg.Request)) []byte { r := edited(good, edit); return r.Append(nil) }
	options := func(o pcpmsg.Options) []byte { return with(func(r *pcpmsg.Request) { r.Options = o }) }
	bytesOf := func(edit func([]byte) []byte) []byte { return edit(good.Append(nil)) }
	set := pcpmsg.PortSet{Size: pcpmsg.AllPorts, FirstInternal: 1}
	thirdMap := func(o pcpmsg.Options) []byte {
		r := softwireMap(third, 3600)
		r.Options = append(o, r.Options...)
		return r.Append(nil)
	}
	const drop = pcpmsg.ResultCode(255)
	tests := []struct {
		name    string
		from    Origin
		payload []byte
		want    pcpmsg.ResultCode
	}{
		{"6887 8.2: 1 octet", plain, []byte{2}, drop},
		{"6887 8.2: a response", plain, bytesOf(func(b []byte) []byte { b[1] |= 0x80; return b }), drop},
		{"6887 8.2: 23 octets", plain, good.Append(nil)[:23], drop},
		{"6887 8.2: from behind the lwB4", Origin{LwB4: testLwB4, Source: netip.MustParseAddr("192.168.1.20"), Softwire: true}, with(func(r *pcpmsg.Request) { r.Client = netip.MustParseAddr("192.168.1.20") }), drop},
		{"6887 8.2, 9: NAT-PMP", plain, []byte{0, 0}, pcpmsg.UnsuppVersion},
		{"6887 9: version 3", plain, bytesOf(func(b []byte) []byte { b[0] = 3; return b }), pcpmsg.UnsuppVersion},
		{"6887 8.2: 1104 octets", plain, bytesOf(func(b []byte) []byte { return append(b, make([]byte, 1104-len(b))...) }), pcpmsg.MalformedRequest},
		{"6887 8.2: not a multiple of 4", plain, bytesOf(func(b []byte) []byte { return b[:71] }), pcpmsg.MalformedRequest},
		{"6887 8.2: too short for MAP", plain, good.Append(nil)[:56], pcpmsg.MalformedRequest},
		{"6887 8.2: client address", plain, with(func(r *pcpmsg.Request) { r.Client = testOther }), pcpmsg.AddressMismatch},
		{"6887 8.2: client address in the softwire is the inner one", softwire, good.Append(nil), pcpmsg.AddressMismatch},
		{"6887 8.2: mismatch before an unknown opcode", plain, with(func(r *pcpmsg.Request) { r.Opcode, r.Client = 99, testOther }), pcpmsg.AddressMismatch},
		{"6887 14.1.1: mismatch of ANNOUNCE", plain, with(func(r *pcpmsg.Request) { r.Opcode, r.Client, r.Options = pcpmsg.Announce, testOther, nil }), pcpmsg.AddressMismatch},
		{"6887 8.2: unknown opcode", plain, with(func(r *pcpmsg.Request) { r.Opcode, r.Opaque = 99, []byte("1234") }), pcpmsg.UnsuppOpcode},
		{"6887 12: PEER", plain, with(func(r *pcpmsg.Request) { r.Opcode = pcpmsg.Peer }), pcpmsg.UnsuppOpcode},
		{"7652: AUTHENTICATION", plain, with(func(r *pcpmsg.Request) { r.Opcode, r.Opaque = pcpmsg.Authentication, make([]byte, 8) }), pcpmsg.UnsuppOpcode},
		{"6887 7.3: an option overruns", plain, bytesOf(func(b []byte) []byte { b[63] = 200; return b }), pcpmsg.MalformedOption},
		{"6887 7.3: an option overruns behind an unknown one", plain, append(options(pcpmsg.Options(nil).Append(pcpmsg.Option{Code: 99})), 1, 0, 0, 99), pcpmsg.MalformedOption},
		{"6887 7.3: unknown mandatory option", plain, options(pcpmsg.Options(nil).Append(pcpmsg.Option{Code: 99})), pcpmsg.UnsuppOption},
		{"6887 7.3: of ANNOUNCE", plain, with(func(r *pcpmsg.Request) {
			r.Opcode, r.Options = pcpmsg.Announce, pcpmsg.Options(nil).Append(pcpmsg.Option{Code: 99})
		}), pcpmsg.UnsuppOption},
		{"7652: NONCE option", plain, options(pcpmsg.Options(nil).Append(pcpmsg.Option{Code: 4, Data: make([]byte, 4)})), pcpmsg.UnsuppOption},
		{"6887 13.3: FILTER", plain, options(pcpmsg.Filter{PrefixLength: 128, Remote: testOther}.Append(set.Append(nil))), pcpmsg.UnsuppOption},
		{"6887 7.3: in order, the first unsupported", plain, options(set.Append(set.Append(pcpmsg.Options(nil).Append(pcpmsg.Option{Code: 99})))), pcpmsg.UnsuppOption},
		{"6887 7.3: in order, the first malformed", plain, options(pcpmsg.Options(nil).Append(pcpmsg.Option{Code: pcpmsg.CodePortSet}).Append(pcpmsg.Option{Code: 99})), pcpmsg.MalformedOption},
		{"7753 4.2: PORT_SET twice", plain, options(set.Append(set.Append(nil))), pcpmsg.MalformedOption},
		{"7753 4.2: PORT_SET of no port", plain, options(pcpmsg.PortSet{FirstInternal: 1}.Append(nil)), pcpmsg.MalformedOption},
		{"7753 4.2: PORT_SET with PREFER_FAILURE", plain, with(func(r *pcpmsg.Request) {
			r.Mapping.ExternalPort, r.Options = 1024, pcpmsg.PreferFailure{}.Append(set.Append(nil))
		}), pcpmsg.MalformedOption},
		{"7753 4: PORT_SET of 4 octets", plain, options(pcpmsg.Options(nil).Append(pcpmsg.Option{Code: pcpmsg.CodePortSet, Data: make([]byte, 4)})), pcpmsg.MalformedOption},
		{"7753 4: PORT_SET from another port", plain, options(pcpmsg.PortSet{Size: 9, FirstInternal: 2}.Append(nil)), pcpmsg.MalformedOption},
		{"6887 11.3: a port of all protocols", plain, options(nil), pcpmsg.MalformedRequest},
		{"6887 15.1: a port of all protocols, deletion", plain, with(func(r *pcpmsg.Request) { r.Lifetime, r.Options = 0, nil }), pcpmsg.MalformedRequest},
		{"6887 11.3: one protocol", plain, with(func(r *pcpmsg.Request) { r.Mapping.Protocol, r.Options = 6, nil }), pcpmsg.UnsuppProtocol},
		{"6887 11.3: one protocol, port set", plain, with(func(r *pcpmsg.Request) { r.Mapping.Protocol = 17 }), pcpmsg.UnsuppProtocol},
		{"6887 11.3: all ports of one protocol", plain, with(func(r *pcpmsg.Request) {
			r.Mapping.Protocol, r.Mapping.InternalPort, r.Options = 6, 0, nil
		}), pcpmsg.UnsuppProtocol},
		{"6887 11.3: all ports of all protocols", plain, with(func(r *pcpmsg.Request) { r.Mapping.InternalPort, r.Options = 0, nil }), pcpmsg.UnsuppProtocol},
		{"6887 13.2: PREFER_FAILURE of no port", plain, with(func(r *pcpmsg.Request) {
			r.Mapping.InternalPort, r.Options = 0, pcpmsg.PreferFailure{}.Append(nil)
		}), pcpmsg.MalformedOption},
		{"6887 11.3: PREFER_FAILURE in a deletion", plain, with(func(r *pcpmsg.Request) {
			r.Lifetime, r.Mapping.InternalPort, r.Mapping.ExternalPort = 0, 0, 9
			r.Options = pcpmsg.PreferFailure{}.Append(nil)
		}), pcpmsg.MalformedOption},
		{"6887 13.2: PREFER_FAILURE of 4 octets", plain, options(pcpmsg.Options(nil).Append(pcpmsg.Option{Code: pcpmsg.CodePreferFailure, Data: make([]byte, 4)})), pcpmsg.MalformedOption},
		{"6887 13.1: THIRD_PARTY of a lwB4", plain, options(pcpmsg.ThirdParty(testOther).Append(set.Append(nil))), pcpmsg.UnsuppOption},
		{"6887 13.1: THIRD_PARTY in the softwire of a third party", Origin{LwB4: testThird, Source: testInner, Softwire: true}, with(func(r *pcpmsg.Request) {
			r.Client, r.Options = testInner, pcpmsg.ThirdParty(testOther).Append(set.Append(nil))
		}), pcpmsg.UnsuppOption},
		{"7843 5.2: THIRD_PARTY_ID of a lwB4", plain, options(pcpmsg.ThirdPartyID("x").Append(set.Append(nil))), pcpmsg.UnsuppOption},
		{"6887 13.1: THIRD_PARTY is the sender", third, thirdMap(pcpmsg.ThirdParty(testThird).Append(nil)), pcpmsg.MalformedRequest},
		{"6887 13.1: THIRD_PARTY twice", third, thirdMap(pcpmsg.ThirdParty(testLwB4).Append(pcpmsg.ThirdParty(testLwB4).Append(nil))), pcpmsg.MalformedOption},
		{"6887 7.3: THIRD_PARTY of 4 octets", third, thirdMap(pcpmsg.Options(nil).Append(pcpmsg.Option{Code: pcpmsg.CodeThirdParty, Data: make([]byte, 4)})), pcpmsg.MalformedOption},
		{"7843 5.2: THIRD_PARTY_ID alone", third, thirdMap(pcpmsg.ThirdPartyID(testLwB4.AsSlice()).Append(nil)), pcpmsg.ThirdPartyMissingOption},
		{"7843 4.1: the inner address alone", third, thirdMap(pcpmsg.ThirdParty(testInner).Append(nil)), pcpmsg.ThirdPartyMissingOption},
		{"7843 4.1: length of THIRD_PARTY_ID", third, thirdMap(pcpmsg.ThirdPartyID("x").Append(pcpmsg.ThirdParty(testInner).Append(nil))), pcpmsg.UnsuppThirdPartyIDLength},
		{"7843 4.1: THIRD_PARTY_ID of another lwB4", third, thirdMap(pcpmsg.ThirdPartyID(testOther.AsSlice()).Append(pcpmsg.ThirdParty(testLwB4).Append(nil))), pcpmsg.ThirdPartyIDUnknown},
		{"7753 4.2: no set lies in the range", plain, with(func(r *pcpmsg.Request) {
			r.Mapping.InternalPort, r.Options = 50000, pcpmsg.PortSet{Size: 100, FirstInternal: 50000}.Append(nil)
		}), pcpmsg.NoResources},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t, nil)
			got := s.send(test.from, test.payload)
			switch {
			case test.want == drop && len(got) == 0:
			case test.want == drop || len(got) != 1 || got[0].Result != test.want:
				t.Fatalf("got %+v, want %s", got, test.want)
			case got[0].Lifetime != uint32(test.want.ErrorLifetime()/time.Second):
				t.Errorf("lifetime %d", got[0].Lifetime)
			}
			if len(s.grants.bindings) != 0 || s.grants.released != 0 {
				t.Errorf("%d bindings, %d released", len(s.grants.bindings), s.grants.released)
			}
			if c := s.server.Counts(); test.want == drop && c.Dropped != 1 || test.want != drop && c.Answered[test.want] != 1 {
				t.Errorf("counted %+v", c)
			}
		})
	}
}
