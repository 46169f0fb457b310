package pcp

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// informing is serving with a server that also tells of changes.
func informing(t *testing.T, edit func(*Config, *fakeGrants), f func(s *scene, w *wire, changes chan<- Change)) {
	t.Helper()
	serving(t, edit, func(s *scene, w *wire) {
		changes, ended := make(chan Change), make(chan error, 1)
		go func() { ended <- s.server.Inform(s.Context(), changes, w) }()
		f(s, w, changes)
		close(changes)
		if err := <-ended; err != nil {
			s.Error(err)
		}
	})
}

// move gives the first binding another port set, as an operator does.
func (s *scene) move(changes chan<- Change) Binding {
	old := s.grants.bindings[0]
	moved := old
	moved.PortSet, _ = portset.Of(0, 6, old.PortSet.PSID()+1)
	s.grants.bindings[0] = moved
	changes <- Change{From: old, To: moved}
	return moved
}

// origins are the ways on which a client may ask.
func origins() map[string]Origin {
	return map[string]Origin{"plain": plain, "softwire": softwire, "third party": third}
}

// asking is the request of one of them.
func asking(from Origin) pcpmsg.Request {
	r := softwireMap(from, 3600)
	if from == third {
		r.Options = append(pcpmsg.ThirdPartyID(testLwB4.AsSlice()).Append(pcpmsg.ThirdParty(testInner).Append(nil)), r.Options...)
	}
	return r
}

// TestMappingUpdate: RFC 6887 section 14.2: a client is told three times of
// another port set, or until it asks again.
func TestMappingUpdate(t *testing.T) {
	for name, from := range origins() {
		informing(t, nil, func(s *scene, w *wire, changes chan<- Change) {
			asked := request(from, asking(from))
			ask := func() pcpmsg.Response {
				w.arrivals <- asked
				r, err := pcpmsg.ParseResponse((<-w.sent).Payload)
				if err != nil {
					s.Fatal(err)
				}
				return r
			}
			first := ask()
			time.Sleep(time.Minute)
			moved := s.move(changes)
			for i, after := range []time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond} {
				start := time.Now()
				d := <-w.sent
				if time.Since(start) != after {
					s.Errorf("%s: update %d came %s after the one before", name, i, time.Since(start))
				}
				if back := asked.Reply(nil); d.To != back.To || d.From != back.From || d.OuterTo != back.OuterTo || d.OuterFrom != back.OuterFrom {
					s.Fatalf("%s: sent to %+v", name, d)
				}
				r, err := pcpmsg.ParseResponse(d.Payload)
				set, ok := portSetOf(s.T, r)
				block := firstBlock(moved.PortSet)
				if err != nil || r.Mapping.Nonce != testNonce || r.Mapping.InternalPort != 1 || r.Mapping.ExternalPort != block.First || !ok || set.Size != 1024 || r.Lifetime == 0 || r.Epoch < first.Epoch+60 {
					s.Fatalf("%s: %+v, %v", name, r, err)
				}
				// THIRD_PARTY "MUST also appear in the Mapping Update".
				if !slices.Equal(r.Options[:len(r.Options)-12], first.Options[:len(first.Options)-12]) {
					s.Errorf("%s: options %x, first %x", name, r.Options, first.Options)
				}
			}
			time.Sleep(time.Minute)
			if len(w.sent) != 0 {
				s.Error("a fourth one")
			}
			// It stops when the client has asked again.
			s.move(changes)
			<-w.sent
			time.Sleep(100 * time.Millisecond)
			ask()
			time.Sleep(time.Minute)
			if len(w.sent) != 0 {
				s.Errorf("%s: %d more after the client has asked", name, len(w.sent))
			}
		})
	}
}

// TestUpdateOfOne: RFC 6887 section 14.2: who wanted nothing else is told
// CANNOT_PROVIDE_EXTERNAL. Who did not say where it is is not told.
func TestUpdateOfOne(t *testing.T) {
	informing(t, func(_ *Config, f *fakeGrants) { f.whole = true }, func(s *scene, w *wire, changes chan<- Change) {
		w.arrivals <- request(plain, edited(softwireMap(plain, 3600), func(r *pcpmsg.Request) {
			r.Mapping.InternalPort, r.Mapping.ExternalPort = 0, 1
			r.Mapping.External, r.Options = netip.MustParseAddr("192.0.2.6"), pcpmsg.PreferFailure{}.Append(nil)
		}))
		<-w.sent
		old := s.grants.bindings[0]
		moved := old
		moved.IPv4 = fakeIPv4
		s.grants.bindings[0] = moved
		changes <- Change{From: old, To: moved}
		r, err := pcpmsg.ParseResponse((<-w.sent).Payload)
		if _, ok := r.Options.Find(pcpmsg.CodePreferFailure); err != nil || r.Result != pcpmsg.CannotProvideExternal || r.Lifetime == 0 || !ok || r.Mapping.Nonce != testNonce {
			s.Errorf("%+v, %v", r, err)
		}
		time.Sleep(time.Minute)
		for len(w.sent) > 0 {
			<-w.sent
		}
		old.Contact = ""
		changes <- Change{From: old, To: moved}
		time.Sleep(time.Minute)
		if len(w.sent) != 0 {
			s.Error("told whom?")
		}
	})
}

// TestLost: RFC 6887 sections 8.5 and 14.1.3: who loses its port set is told by an
// epoch that begins anew, and others are not.
func TestLost(t *testing.T) {
	for name, from := range origins() {
		informing(t, nil, func(s *scene, w *wire, changes chan<- Change) {
			w.arrivals <- request(from, asking(from))
			<-w.sent
			lost := s.grants.bindings[0]
			s.grants.bindings = nil
			changes <- Change{From: lost}
			time.Sleep(time.Minute)
			want := 3
			if from == third { // which would ask for everybody's again
				want = 0
			}
			if len(w.sent) != want {
				s.Fatalf("%s: %d announcements, want %d", name, len(w.sent), want)
			}
			for range want {
				d := <-w.sent
				r, err := pcpmsg.ParseResponse(d.Payload)
				if err != nil || r.Opcode != pcpmsg.Announce || r.Result != pcpmsg.Success || r.Lifetime != 0 || r.Epoch > 1 || d.To != request(from, asking(from)).From {
					s.Errorf("%s: %+v to %s, %v", name, r, d.To, err)
				}
			}
			if other := s.server.epoch.Of(testOther, time.Now()); other != 160 {
				s.Errorf("%s: others are at %d", name, other)
			}
			if own := s.server.epoch.Of(from.LwB4, time.Now()); want > 0 && own != 60 {
				s.Errorf("%s: it is at %d", name, own)
			}
			// Once it has asked again there is nothing more to tell.
			w.arrivals <- request(from, asking(from))
			<-w.sent
			changes <- Change{From: lost}
			time.Sleep(time.Minute)
			if len(w.sent) != 0 {
				s.Errorf("%s: %d more", name, len(w.sent))
			}
		})
	}
}

// TestAnnounceAll: RFC 6887 section 14.1.3: after a loss all clients are told, at a
// rate, and again unless they have asked since.
func TestAnnounceAll(t *testing.T) {
	edit := func(c *Config, _ *fakeGrants) { c.AnnounceRate = 100 }
	serving(t, edit, func(s *scene, w *wire) {
		all := make([]Binding, 200)
		for i := range all {
			a := testLwB4.As16()
			a[6] = byte(i)
			all[i].LwB4 = netip.AddrFrom16(a)
			all[i].Contact = string(contact{port: 40000, server: testBR, epoch: 1}.append(nil))
		}
		all[7].Contact = "" // unknown
		for _, i := range []int{11, 12, 13} {
			all[i].Contact = string(contact{port: 40000, server: testBR, thirdParty: testThird, internal: testInner}.append(nil))
		}
		var mu sync.Mutex
		clients := func(yield func(Binding) bool) {
			for i := range all {
				mu.Lock()
				b := all[i]
				mu.Unlock()
				if !yield(b) {
					return
				}
			}
		}
		s.server.epoch.Reset(time.Now())
		start := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- s.server.Announce(s.Context(), clients, nil, w) }()
		round := func(n int) {
			s.Helper()
			told := make(map[netip.AddrPort]int)
			for range n {
				d := <-w.sent
				r, err := pcpmsg.ParseResponse(d.Payload)
				if err != nil || r.Opcode != pcpmsg.Announce || r.Epoch != uint32(time.Since(start)/time.Second) || d.From.Addr() != testBR {
					s.Fatalf("%+v, %v", d, err)
				}
				told[d.To]++
			}
			if len(told) != n || told[netip.AddrPortFrom(testThird, 40000)] != 1 {
				s.Errorf("%d told, want %d", len(told), n)
			}
		}
		round(197)
		if took := time.Since(start); took < time.Second || took > 2*time.Second {
			s.Errorf("197 in %s", took)
		}
		// Half of them ask.
		mu.Lock()
		for i := range all[:100] {
			if all[i].Contact != "" && (i < 11 || i > 13) {
				all[i].Contact = string(contact{port: 40000, server: testBR, epoch: s.server.epoch.Began()}.append(nil))
			}
		}
		mu.Unlock()
		round(101)
		second := time.Since(start)
		round(101)
		if err := <-ended; err != nil || second < 2*time.Second || time.Since(start) < second+3*time.Second {
			s.Errorf("%v, the second round after %s, the third after %s", err, second, time.Since(start))
		}

		ctx, cancel := context.WithCancel(s.Context())
		go func() { ended <- s.server.Announce(ctx, clients, nil, w) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err == nil {
			s.Error("it went on")
		}
	})
}

// TestAnnounceLinks: RFC 6887 section 14.1.3: clients that are not known are told by
// multicast, from the address and port that requests are sent to.
func TestAnnounceLinks(t *testing.T) {
	serving(t, nil, func(s *scene, w *wire) {
		from := []netip.AddrPort{netip.AddrPortFrom(testBR, pcpmsg.ServerPort), netip.AddrPortFrom(testThird4, pcpmsg.ServerPort)}
		nobody := func(func(Binding) bool) {}
		start := time.Now()
		if err := s.server.Announce(s.Context(), nobody, from, w); err != nil {
			s.Error(err)
		}
		if took := time.Since(start); took != 750*time.Millisecond || len(w.sent) != 6 {
			s.Errorf("%d in %s", len(w.sent), took)
		}
		for i, group := range []string{"[ff02::1]:5350", "224.0.0.1:5350"} {
			d := <-w.sent
			r, err := pcpmsg.ParseResponse(d.Payload)
			if err != nil || r.Opcode != pcpmsg.Announce || r.Epoch != 100 || d.From != from[i] || d.To.String() != group {
				s.Errorf("%+v from %s to %s, %v", r, d.From, d.To, err)
			}
		}
	})
}

// TestContact: what is kept of a request leads back to who asked.
func TestContact(t *testing.T) {
	for name, from := range origins() {
		s := newScene(t, nil)
		d := request(from, asking(from))
		from, ok := s.server.admit(d)
		if !ok {
			t.Fatal(name)
		}
		r := s.granted(from, asking(from))
		b := s.grants.bindings[0]
		c, err := parseContact(b.Contact)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if to := c.reaches(b.LwB4, nil); to.To != d.From || to.From != d.To || to.OuterTo != d.OuterFrom || to.OuterFrom != d.OuterTo {
			t.Errorf("%s: %+v", name, to)
		}
		again := s.server.granted(c.ask(b), b, false)
		if back, err := pcpmsg.ParseResponse(again); err != nil || back.Mapping != r.Mapping || !slices.Equal(back.Options, r.Options) {
			t.Errorf("%s: told %+v, %v, was %+v", name, back, err, r)
		}
		if len(b.Contact) > 80 {
			t.Errorf("%s: %d octets", name, len(b.Contact))
		}
	}
}

// FuzzContact: a store may hold anything.
func FuzzContact(f *testing.F) {
	f.Add(string(contact{softwire: true, host: 2, port: 5, server: testBR, internalPort: 1, set: true, epoch: 7}.append(nil)))
	f.Add(string(contact{port: 5, server: testThird4, thirdParty: testThird4, internal: testInner, id: testLwB4.AsSlice()}.append(nil)))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseContact(text)
		if err != nil {
			return
		}
		d := c.reaches(testLwB4, nil)
		again, err := parseContact(string(c.append(nil)))
		if err != nil || again.reaches(testLwB4, nil).To != d.To || again.internalPort != c.internalPort || !slices.Equal(again.id, c.id) {
			t.Fatalf("%x: %+v, then %+v, %v", text, c, again, err)
		}
	})
}
