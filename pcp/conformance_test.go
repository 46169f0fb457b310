package pcp

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

var (
	testLwB4  = netip.MustParseAddr("2001:db8:1000::1")
	testOther = netip.MustParseAddr("2001:db8:2000::1")
	testThird = netip.MustParseAddr("2001:db8:cafe::5")
	testNonce = pcpmsg.Nonce{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	testInner = netip.MustParseAddr("192.0.0.2")
	noIPv4    = netip.IPv4Unspecified()
)

// origins.
var (
	plain    = Origin{LwB4: testLwB4, Source: testLwB4}
	softwire = Origin{LwB4: testLwB4, Source: testInner, Softwire: true}
	third    = Origin{LwB4: testThird, Source: testThird}
)

// scene is a server with what it gave, and a clock that a test sets.
type scene struct {
	*testing.T
	server *Server
	grants *fakeGrants
	now    time.Time
}

func newScene(t *testing.T, edit func(*Config, *fakeGrants)) *scene {
	t.Helper()
	s := &scene{T: t, now: time.Unix(2_000_000, 0)}
	began := s.now
	s.grants = &fakeGrants{now: func() time.Time { return s.now }, quota: 1}
	config := DefaultConfig()
	config.ThirdParties = []netip.Prefix{netip.MustParsePrefix("2001:db8:cafe::/48")}
	if edit != nil {
		edit(&config, s.grants)
	}
	var err error
	s.server, err = New(config, s.grants, func(now time.Time) uint32 { return 100 + uint32(now.Sub(began)/time.Second) }, func() time.Time { return s.now })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// softwireMap is what a lwB4 asks (RFC 7753 section 5.2).
func softwireMap(from Origin, lifetime uint32) pcpmsg.Request {
	return pcpmsg.Request{
		Opcode: pcpmsg.Map, Lifetime: lifetime, Client: from.Source,
		Body: pcpmsg.Body{
			Mapping: pcpmsg.Mapping{Nonce: testNonce, InternalPort: 1, External: noIPv4},
			Options: pcpmsg.PortSet{Size: pcpmsg.AllPorts, FirstInternal: 1}.Append(nil),
		},
	}
}

// ask sends a request and returns the responses.
func (s *scene) ask(from Origin, r pcpmsg.Request) []pcpmsg.Response {
	s.Helper()
	return s.send(from, r.Append(nil))
}

func (s *scene) send(from Origin, payload []byte) []pcpmsg.Response {
	s.Helper()
	before := slices.Clone(payload)
	var responses []pcpmsg.Response
	for _, b := range s.server.Answer(s.Context(), from, payload) {
		// RFC 6887 section 7.
		if len(b) > pcpmsg.MaxLength || len(b)%4 != 0 {
			s.Fatalf("a response of %d octets", len(b))
		}
		r, err := pcpmsg.ParseResponse(b)
		var version *pcpmsg.VersionError
		if errors.As(err, &version) {
			r.Result, r.Lifetime = pcpmsg.UnsuppVersion, version.Lifetime
		} else if err != nil && len(b) < 60 { // to a request that was cut
			r.Result, r.Lifetime = pcpmsg.ResultCode(b[3]), binary.BigEndian.Uint32(b[4:])
		} else if err != nil {
			s.Fatalf("response %x: %v", b, err)
		}
		responses = append(responses, r)
	}
	if !slices.Equal(before, payload) {
		s.Fatal("the request was changed")
	}
	return responses
}

// granted asks and requires one grant.
func (s *scene) granted(from Origin, r pcpmsg.Request) pcpmsg.Response {
	s.Helper()
	got := s.ask(from, r)
	if len(got) != 1 || got[0].Result != pcpmsg.Success {
		s.Fatalf("got %+v", got)
	}
	return got[0]
}

// refused asks and requires one error, and that nothing has changed.
func (s *scene) refused(from Origin, r pcpmsg.Request, want pcpmsg.ResultCode) pcpmsg.Response {
	s.Helper()
	before := slices.Clone(s.grants.bindings)
	got := s.ask(from, r)
	if len(got) != 1 || got[0].Result != want {
		s.Fatalf("got %+v, want %s", got, want)
	}
	// RFC 6887 section 11.1 for errors.
	if m := got[0].Mapping; r.Opcode == pcpmsg.Map && m != r.Mapping {
		s.Fatalf("mapping %+v, want that of the request, %+v", m, r.Mapping)
	}
	if !slices.Equal(before, s.grants.bindings) {
		s.Fatalf("%s, and yet the bindings changed", want)
	}
	return got[0]
}

func edited(r pcpmsg.Request, edit func(*pcpmsg.Request)) pcpmsg.Request {
	edit(&r)
	return r
}

func portSetOf(t *testing.T, r pcpmsg.Response) (pcpmsg.PortSet, bool) {
	t.Helper()
	o, ok := r.Options.Find(pcpmsg.CodePortSet)
	if !ok {
		return pcpmsg.PortSet{}, false
	}
	p, err := pcpmsg.ParsePortSet(o.Data)
	if err != nil {
		t.Fatal(err)
	}
	return p, true
}

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

// TestGrant: RFC 7753 section 5.2, over plain IPv6 and in the softwire.
func TestGrant(t *testing.T) {
	for name, from := range map[string]Origin{"plain": plain, "softwire": softwire} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, nil)
			r := s.granted(from, softwireMap(from, 3600))
			m := r.Mapping
			if m.Nonce != testNonce || m.Protocol != 0 || m.InternalPort != 1 || m.External != fakeIPv4 || m.ExternalPort != 1024 || r.Lifetime != 3600 || r.Epoch != 100 {
				t.Fatalf("%+v", r)
			}
			if p, ok := portSetOf(t, r); !ok || p != (pcpmsg.PortSet{Size: 1024, FirstInternal: 1024}) {
				t.Fatalf("PORT_SET %+v", p)
			}
			if b := s.grants.bindings[0]; b.LwB4 != testLwB4 || b.Nonce != testNonce {
				t.Fatalf("%+v", b)
			}
			// RFC 6887 section 8: the same once more gets the same.
			again := s.granted(from, softwireMap(from, 3600))
			if len(s.grants.bindings) != 1 || again.Mapping != m {
				t.Fatalf("%+v", again)
			}
			// RFC 6887 section 11.3, item 3: whatever is suggested, and extended.
			s.now = s.now.Add(time.Minute)
			renewed := s.granted(from, edited(softwireMap(from, 7200), func(r *pcpmsg.Request) {
				r.Mapping.ExternalPort, r.Mapping.External = 4096, testOther
			}))
			if renewed.Mapping != m || renewed.Lifetime != 7200 || renewed.Epoch != 160 {
				t.Fatalf("%+v", renewed)
			}
			deleted := s.granted(from, edited(softwireMap(from, 0), func(r *pcpmsg.Request) { r.Mapping.ExternalPort = 7 }))
			if _, ok := portSetOf(t, deleted); ok || deleted.Lifetime != 0 || deleted.Mapping.ExternalPort != 7 || deleted.Mapping.External != noIPv4 || len(s.grants.bindings) != 0 {
				t.Fatalf("%+v", deleted)
			}
			// RFC 6887 section 15.1: SUCCESS also for what is not there.
			s.granted(from, softwireMap(from, 0))
		})
	}
}

// TestSuggestion: RFC 6887 section 11.3: a suggestion is granted where that can
// be, and never does any harm.
func TestSuggestion(t *testing.T) {
	for name, test := range map[string]struct {
		address string
		port    uint16
		want    uint16
	}{
		"free": {"192.0.2.5", 4096, 4096}, "within a set": {"192.0.2.5", 5000, 4096}, "not lent": {"192.0.2.5", 80, 1024},
		"IPv6": {"::", 4096, 4096}, "loopback": {"127.0.0.1", 0, 1024}, "multicast": {"ff02::1", 1, 1024},
	} {
		s := newScene(t, nil)
		r := s.granted(plain, edited(softwireMap(plain, 3600), func(r *pcpmsg.Request) {
			r.Mapping.External, r.Mapping.ExternalPort = netip.MustParseAddr(test.address), test.port
		}))
		if r.Mapping.ExternalPort != test.want {
			t.Errorf("%s: port %d, want %d", name, r.Mapping.ExternalPort, test.want)
		}
	}
}

// TestNonce: RFC 6887 section 11.3, and what the softwire may do instead.
func TestNonce(t *testing.T) {
	other := func(r *pcpmsg.Request) { r.Mapping.Nonce[0]++ }
	held := func(t *testing.T, edit func(*Config, *fakeGrants)) *scene {
		s := newScene(t, edit)
		s.granted(softwire, softwireMap(softwire, 3600))
		s.now = s.now.Add(10 * time.Minute)
		return s
	}
	t.Run("plain IPv6", func(t *testing.T) {
		r := held(t, nil).refused(plain, edited(softwireMap(plain, 3600), other), pcpmsg.NotAuthorized)
		if r.Lifetime != 3000 {
			t.Errorf("lifetime %d, want what is left of the mapping", r.Lifetime)
		}
	})
	t.Run("softwire", func(t *testing.T) {
		s := held(t, nil)
		s.granted(softwire, edited(softwireMap(softwire, 3600), other))
		s.refused(plain, softwireMap(plain, 3600), pcpmsg.NotAuthorized) // the old one
	})
	t.Run("strict softwire", func(t *testing.T) {
		s := held(t, func(c *Config, _ *fakeGrants) { c.SoftwireNonce = NonceStrict })
		s.refused(softwire, edited(softwireMap(softwire, 3600), other), pcpmsg.NotAuthorized)
	})
	t.Run("deletion", func(t *testing.T) {
		held(t, nil).refused(softwire, edited(softwireMap(softwire, 0), other), pcpmsg.NotAuthorized)
	})
	t.Run("no nonce known", func(t *testing.T) {
		s := held(t, nil)
		s.grants.bindings[0].Known = false
		s.granted(plain, edited(softwireMap(plain, 3600), other))
	})
}

// TestStatic: RFC 6887 sections 11.3, item 2, and 15.1, RFC 7596 section 7.
func TestStatic(t *testing.T) {
	set, _ := portset.Of(0, 5, 13)
	s := newScene(t, nil)
	s.grants.bindings = []Binding{{LwB4: testLwB4, IPv4: fakeIPv4, PortSet: set, Static: true}}
	r := s.granted(plain, softwireMap(plain, 60))
	if p, _ := portSetOf(t, r); r.Lifetime != 1<<32-1 || r.Mapping.ExternalPort != 26624 || p.Size != 2048 || p.FirstInternal != 26624 || r.Mapping.Nonce != testNonce {
		t.Fatalf("%+v", r)
	}
	if s.grants.acquired != 0 {
		t.Error("something was acquired")
	}
	s.refused(plain, softwireMap(plain, 0), pcpmsg.NotAuthorized)

	// Another lwB4 of the subscriber is told the same, until it has its own.
	neighbour := Origin{LwB4: testLwB4.Next(), Source: testLwB4.Next()}
	if r := s.granted(neighbour, softwireMap(neighbour, 60)); r.Mapping.ExternalPort != 26624 {
		t.Fatalf("%+v", r)
	}
	other, _ := portset.Of(0, 5, 14)
	s.grants.bindings = append(s.grants.bindings, Binding{LwB4: neighbour.LwB4, IPv4: fakeIPv4, PortSet: other, Static: true})
	if r := s.granted(neighbour, softwireMap(neighbour, 60)); r.Mapping.ExternalPort != 28672 {
		t.Fatalf("%+v", r)
	}
	if r := s.granted(plain, softwireMap(plain, 60)); r.Mapping.ExternalPort != 26624 {
		t.Fatalf("%+v", r)
	}
}

// TestWhole: decision B: all ports of all protocols are a whole address.
func TestWhole(t *testing.T) {
	whole := func(lifetime uint32) pcpmsg.Request {
		return edited(softwireMap(plain, lifetime), func(r *pcpmsg.Request) { r.Mapping.InternalPort, r.Options = 0, nil })
	}
	s := newScene(t, func(_ *Config, f *fakeGrants) { f.whole = true })
	r := s.granted(plain, whole(3600))
	if _, ok := portSetOf(t, r); ok || r.Mapping.ExternalPort != 0 || r.Mapping.InternalPort != 0 || r.Mapping.External.String() != "192.0.2.6" {
		t.Fatalf("%+v", r)
	}
	// RFC 7753 can tell 65,535 ports at most.
	asSet := s.granted(plain, softwireMap(plain, 3600))
	if p, _ := portSetOf(t, asSet); p != (pcpmsg.PortSet{Size: 65535, FirstInternal: 1}) || asSet.Mapping.ExternalPort != 1 {
		t.Fatalf("%+v", asSet)
	}
	shared := newScene(t, func(_ *Config, f *fakeGrants) { f.whole = true })
	shared.granted(plain, softwireMap(plain, 3600))
	shared.refused(plain, whole(3600), pcpmsg.UnsuppProtocol)
	shared.granted(plain, whole(0))
	if len(shared.grants.bindings) != 0 {
		t.Error("still there")
	}
}

// TestPreferFailure: RFC 6887 section 13.2.
func TestPreferFailure(t *testing.T) {
	ask := func(address string) pcpmsg.Request {
		return edited(softwireMap(plain, 3600), func(r *pcpmsg.Request) {
			r.Mapping.InternalPort, r.Mapping.ExternalPort = 0, 1
			r.Mapping.External, r.Options = netip.MustParseAddr(address), pcpmsg.PreferFailure{}.Append(nil)
		})
	}
	s := newScene(t, func(_ *Config, f *fakeGrants) { f.whole = true })
	s.refused(plain, ask("192.0.2.99"), pcpmsg.CannotProvideExternal)
	r := s.granted(plain, ask("192.0.2.6"))
	if _, ok := r.Options.Find(pcpmsg.CodePreferFailure); !ok {
		t.Error("the option was processed and is not returned")
	}
	s.refused(plain, ask("192.0.2.99"), pcpmsg.CannotProvideExternal)
}

// TestOverlap: RFC 7753 sections 4.4.1, 5.3 and 6.3.
func TestOverlap(t *testing.T) {
	s := newScene(t, func(_ *Config, f *fakeGrants) { f.quota = 2 })
	between := func(first, size uint16, lifetime uint32) pcpmsg.Request {
		return edited(softwireMap(plain, lifetime), func(r *pcpmsg.Request) {
			r.Mapping.InternalPort, r.Options = first, pcpmsg.PortSet{Size: size, FirstInternal: first}.Append(nil)
		})
	}
	one := s.granted(plain, between(1024, 4096, 3600))
	two := s.granted(plain, between(32768, 4096, 3600))
	if one.Mapping.ExternalPort != 1024 || two.Mapping.ExternalPort != 32768 || len(s.grants.bindings) != 2 {
		t.Fatalf("%+v, %+v", one, two)
	}
	s.refused(plain, between(49152, 4096, 3600), pcpmsg.UserExQuota)
	// A part of the first one is a refresh of it.
	r := s.granted(plain, between(2000, 5000, 7200))
	if p, _ := portSetOf(t, r); r.Mapping.InternalPort != 2000 || r.Mapping.ExternalPort != 1024 || p.FirstInternal != 1024 || p.Size != 1024 || r.Lifetime != 7200 {
		t.Fatalf("%+v", r)
	}
	// What touches both refreshes both.
	both := s.ask(plain, softwireMap(plain, 9000))
	if len(both) != 2 || both[0].Mapping.InternalPort != 1 || both[0].Mapping.ExternalPort != 1024 ||
		both[1].Mapping.InternalPort != 32768 || both[1].Mapping.ExternalPort != 32768 || both[1].Lifetime != 9000 {
		t.Fatalf("%+v", both)
	}
	// Nothing is refreshed if one of them is refused.
	s.grants.bindings[1].Nonce[0]++
	s.refused(plain, softwireMap(plain, 1), pcpmsg.NotAuthorized)
	s.grants.bindings[1].Nonce[0]--
	s.granted(plain, between(32768, 1024, 0))
	if len(s.grants.bindings) != 1 || s.grants.bindings[0].Number != 0 {
		t.Fatalf("%+v", s.grants.bindings)
	}
	if again := s.granted(plain, between(40960, 4096, 60)); again.Mapping.ExternalPort != 40960 || s.grants.bindings[1].Number != 1 {
		t.Fatalf("%+v", s.grants.bindings)
	}
}

// TestThirdParty: RFC 6887 section 13.1, RFC 7843.
func TestThirdParty(t *testing.T) {
	for name, o := range map[string]pcpmsg.Options{
		"by address": pcpmsg.ThirdParty(testLwB4).Append(nil),
		"by ID":      pcpmsg.ThirdPartyID(testLwB4.AsSlice()).Append(pcpmsg.ThirdParty(testInner).Append(nil)),
		"by both":    pcpmsg.ThirdPartyID(testLwB4.AsSlice()).Append(pcpmsg.ThirdParty(testLwB4).Append(nil)),
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, nil)
			ask := func(lifetime uint32) pcpmsg.Request {
				r := softwireMap(third, lifetime)
				r.Options = append(slices.Clone(o), r.Options...)
				return r
			}
			r := s.granted(third, ask(3600))
			if b := s.grants.bindings[0]; b.LwB4 != testLwB4 || !slices.Equal(r.Options[:len(o)], o) {
				t.Fatalf("%+v, %x", b, r.Options)
			}
			s.refused(third, edited(ask(60), func(r *pcpmsg.Request) { r.Mapping.Nonce[0]++ }), pcpmsg.NotAuthorized)
			if d := s.granted(third, ask(0)); !slices.Equal(d.Options, o) || len(s.grants.bindings) != 0 {
				t.Fatalf("%+v", d)
			}
		})
	}
}

// TestAnyProtocol: the knob for generic clients.
func TestAnyProtocol(t *testing.T) {
	ask := func(port, suggested uint16, lifetime uint32) pcpmsg.Request {
		return edited(softwireMap(plain, lifetime), func(r *pcpmsg.Request) {
			r.Mapping.Protocol, r.Mapping.InternalPort, r.Mapping.ExternalPort, r.Options = 6, port, suggested, nil
		})
	}
	s := newScene(t, func(c *Config, _ *fakeGrants) { c.AnyProtocol = true })
	r := s.granted(plain, ask(80, 0, 3600))
	if _, ok := portSetOf(t, r); ok || r.Mapping.Protocol != 6 || r.Mapping.InternalPort != 80 || r.Mapping.ExternalPort != 1024 {
		t.Fatalf("%+v", r)
	}
	if r := s.granted(plain, ask(80, 1100, 3600)); r.Mapping.ExternalPort != 1100 {
		t.Fatalf("%+v", r)
	}
	if r := s.granted(plain, ask(1200, 1100, 3600)); r.Mapping.ExternalPort != 1200 {
		t.Fatalf("%+v", r)
	}
	s.granted(plain, ask(80, 0, 0))
	if len(s.grants.bindings) != 0 {
		t.Fatalf("%+v", s.grants.bindings)
	}
}

// TestMove: RFC 7785 section 4: a subscriber's tunnel address may change, and not
// again within the interval.
func TestMove(t *testing.T) {
	to := func(n byte) Origin {
		a := testLwB4.As16()
		a[15] = n
		return Origin{LwB4: netip.AddrFrom16(a), Source: netip.AddrFrom16(a)}
	}
	s := newScene(t, nil)
	first := s.granted(to(1), softwireMap(to(1), 7200))
	if moved := s.granted(to(2), softwireMap(to(2), 7200)); moved.Mapping != first.Mapping || s.grants.bindings[0].LwB4 != to(2).LwB4 {
		t.Fatalf("%+v", moved)
	}
	s.granted(to(2), softwireMap(to(2), 7200)) // where it is
	s.now = s.now.Add(29 * time.Minute)
	if r := s.refused(to(1), softwireMap(to(1), 7200), pcpmsg.NotAuthorized); r.Lifetime != 60 {
		t.Errorf("lifetime %d", r.Lifetime)
	}
	s.now = s.now.Add(time.Minute)
	s.granted(to(1), softwireMap(to(1), 7200))
	s.now = s.now.Add(time.Hour)
	s.granted(to(1), softwireMap(to(1), 7200))
	if len(s.server.moves.last) != 0 {
		t.Errorf("%d moves are remembered", len(s.server.moves.last))
	}
}

// TestGrantsFail: what becomes of the errors of Grants.
func TestGrantsFail(t *testing.T) {
	for _, test := range []struct {
		err  error
		want pcpmsg.ResultCode
	}{
		{ErrExhausted, pcpmsg.NoResources}, {ErrRange, pcpmsg.NoResources}, {ErrQuota, pcpmsg.UserExQuota},
		{ErrNotLent, pcpmsg.NotAuthorized}, {ErrLwB4, pcpmsg.NotAuthorized}, {ErrUnavailable, pcpmsg.NoResources},
		{ErrSuggestion, pcpmsg.CannotProvideExternal},
	} {
		s := newScene(t, func(_ *Config, f *fakeGrants) { f.err = test.err })
		s.refused(plain, softwireMap(plain, 3600), test.want)
	}
	// Not decided in time: no answer, and the client asks again.
	s := newScene(t, func(_ *Config, f *fakeGrants) { f.err = context.DeadlineExceeded })
	if got := s.ask(plain, softwireMap(plain, 3600)); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
	s = newScene(t, nil)
	s.granted(plain, softwireMap(plain, 3600))
	s.grants.err = ErrUnavailable
	s.refused(plain, softwireMap(plain, 0), pcpmsg.NoResources)
}

// TestAnnounce: RFC 6887 section 14.1.2.
func TestAnnounce(t *testing.T) {
	s := newScene(t, nil)
	s.now = s.now.Add(time.Minute)
	r := s.granted(plain, pcpmsg.Request{Opcode: pcpmsg.Announce, Client: testLwB4, Lifetime: 5, Body: pcpmsg.Body{
		Options: pcpmsg.Options(nil).Append(pcpmsg.Option{Code: 129, Data: make([]byte, 16)}),
	}})
	if r.Opcode != pcpmsg.Announce || r.Lifetime != 0 || r.Epoch != 160 || len(r.Options) != 0 {
		t.Fatalf("%+v", r)
	}
}

// TestIgnoredOptions: RFC 6887 section 7.3: optional ones that are not processed
// are not returned.
func TestIgnoredOptions(t *testing.T) {
	s := newScene(t, nil)
	r := s.granted(plain, edited(softwireMap(plain, 3600), func(r *pcpmsg.Request) {
		r.Options = pcpmsg.Description("CPE").Append(r.Options).Append(pcpmsg.Option{Code: 200, Data: []byte("x")})
	}))
	if codes := slices.Collect(func(yield func(pcpmsg.OptionCode) bool) {
		for o := range r.Options.All() {
			if !yield(o.Code) {
				return
			}
		}
	}); !slices.Equal(codes, []pcpmsg.OptionCode{pcpmsg.CodePortSet}) {
		t.Fatalf("options %v", codes)
	}
}

// TestOnePort: RFC 7753 section 4.2: PORT_SET of one port is ignored, and one
// port of all protocols is malformed.
func TestOnePort(t *testing.T) {
	s := newScene(t, nil)
	s.refused(plain, edited(softwireMap(plain, 3600), func(r *pcpmsg.Request) {
		r.Options = pcpmsg.PortSet{Size: 1, FirstInternal: 1}.Append(nil)
	}), pcpmsg.MalformedRequest)
}

func TestConfigValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*Config){
		"IPv4 third party": func(c *Config) { c.ThirdParties = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} },
		"host bits":        func(c *Config) { c.ThirdParties = []netip.Prefix{netip.MustParsePrefix("2001:db8::1/64")} },
		"unknown rule":     func(c *Config) { c.SoftwireNonce = "maybe" },
		"negative":         func(c *Config) { c.MoveInterval = -1 },
	} {
		c := DefaultConfig()
		edit(&c)
		if c.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
		if _, err := New(c, nil, nil, nil); err == nil {
			t.Errorf("%s: taken by New", name)
		}
	}
}
