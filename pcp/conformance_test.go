package pcp

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

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
		r.Options = r.Options.Append(pcpmsg.Option{Code: 200, Data: []byte("x")})
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

// TestDescription: RFC 7220 section 3: it is kept, cut if it is long, returned, and
// changed by another one only. An invalid one is ignored.
func TestDescription(t *testing.T) {
	s := newScene(t, nil)
	long := strings.Repeat("x", maxDescription-1) + "é"
	for _, test := range []struct {
		name, sent string
		with       bool
		kept       string
		returned   bool
	}{
		{"new", "CPE é", true, "CPE é", true},
		{"none", "", false, "CPE é", false},
		{"another", "router", true, "router", true},
		{"not UTF-8", "\xff", true, "router", false},
		{"long", long, true, long[:maxDescription-1], true},
		{"empty", "", true, "", true},
	} {
		r := s.granted(plain, edited(softwireMap(plain, 3600), func(r *pcpmsg.Request) {
			if test.with {
				r.Options = pcpmsg.Description(test.sent).Append(r.Options)
			}
		}))
		o, returned := r.Options.Find(pcpmsg.CodeDescription)
		if got := s.grants.bindings[0].Description; got != test.kept || returned != test.returned || returned && string(o.Data) != test.kept {
			t.Errorf("%s: kept %q, returned %q, %v", test.name, got, o.Data, returned)
		}
	}
	d := s.granted(plain, edited(softwireMap(plain, 0), func(r *pcpmsg.Request) { r.Options = pcpmsg.Description("bye").Append(r.Options) }))
	if len(d.Options) != 0 {
		t.Errorf("a deletion returned %x", d.Options)
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

// TestParity: RFC 7753 section 4.1: ports are not translated, so parity is kept, and
// who asks for that is told.
func TestParity(t *testing.T) {
	for _, parity := range []bool{false, true} {
		s := newScene(t, nil)
		r := s.granted(plain, edited(softwireMap(plain, 3600), func(r *pcpmsg.Request) {
			r.Options = pcpmsg.PortSet{Size: pcpmsg.AllPorts, FirstInternal: 1, Parity: parity}.Append(nil)
		}))
		if p, ok := portSetOf(t, r); !ok || p.Parity != parity || p.FirstInternal != r.Mapping.ExternalPort {
			t.Errorf("%+v", p)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*Config){
		"no prefix":          func(c *Config) { c.ThirdParties = []netip.Prefix{{}} },
		"IPv4-mapped prefix": func(c *Config) { c.ThirdParties = []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")} },
		"nowhere":            func(c *Config) { c.Listen = []Listener{{Interface: "lo"}} },
		"everywhere":         func(c *Config) { c.Listen = []Listener{{Address: netip.IPv6Unspecified(), Interface: "lo"}} },
		"no interface":       func(c *Config) { c.Listen = []Listener{{Address: testBR}} },
		"twice":              func(c *Config) { c.Listen = []Listener{{testBR, "lo"}, {testBR, "lo"}} },
		"IPv4 for nobody":    func(c *Config) { c.Listen = []Listener{{testThird4, "lo"}} },
		"host bits":          func(c *Config) { c.ThirdParties = []netip.Prefix{netip.MustParsePrefix("2001:db8::1/64")} },
		"unknown rule":       func(c *Config) { c.SoftwireNonce = "maybe" },
		"negative":           func(c *Config) { c.MoveInterval = -1 },
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
