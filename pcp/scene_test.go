package pcp

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

var (
	testLwB4   = netip.MustParseAddr("2001:db8:1000::1")
	testOther  = netip.MustParseAddr("2001:db8:2000::1")
	testThird4 = netip.MustParseAddr("198.51.100.7")
	testThird  = netip.MustParseAddr("2001:db8:cafe::5")
	testNonce  = pcpmsg.Nonce{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	testInner  = netip.MustParseAddr("192.0.0.2")
	noIPv4     = netip.IPv4Unspecified()
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
	s.grants = &fakeGrants{now: func() time.Time { return s.now }, quota: 1}
	config := DefaultConfig()
	config.ThirdParties = []netip.Prefix{netip.MustParsePrefix("2001:db8:cafe::/48")}
	if edit != nil {
		edit(&config, s.grants)
	}
	var err error
	s.server, err = New(config, s.grants, NewEpoch(s.now.Add(-100*time.Second)), func() time.Time { return s.now })
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
