package pcp

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// wire is Packets in memory.
type wire struct {
	arrivals chan []byte
	sent     chan []byte
	broken   error // of Receive
	unsent   error // of Send
}

func newWire() *wire { return &wire{arrivals: make(chan []byte, 256), sent: make(chan []byte, 256)} }

func (w *wire) Receive(ctx context.Context, into [][]byte) (int, error) {
	if w.broken != nil {
		return 0, w.broken
	}
	select {
	case into[0] = <-w.arrivals:
		return 1, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (w *wire) Send(_ context.Context, packet []byte) error {
	if w.unsent != nil {
		return w.unsent
	}
	w.sent <- append([]byte(nil), packet...)
	return nil
}

var testBR = netip.MustParseAddr("2001:db8:ff::1")

// packet is a request on its way.
func packet(from Origin, r pcpmsg.Request) []byte {
	d := datagram.Datagram{From: netip.AddrPortFrom(from.Source, 40000), Payload: r.Append(nil)}
	d.To = netip.AddrPortFrom(testBR, pcpmsg.ServerPort)
	if from.Softwire {
		d.OuterFrom, d.OuterTo = from.LwB4, testBR
		d.To = netip.AddrPortFrom(netip.MustParseAddr("192.0.0.1"), pcpmsg.ServerPort)
	}
	return d.Packet()
}

// serving runs a server in a bubble while f talks to it.
func serving(t *testing.T, edit func(*Config, *fakeGrants), f func(s *scene, w *wire)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, w := newScene(t, edit), newWire()
		s.server.now = time.Now
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.server.Run(ctx, w) }()
		f(s, w)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestRun: an answer goes to where the request came from, from where it went (RFC
// 6887 section 8.3).
func TestRun(t *testing.T) {
	for _, from := range []Origin{plain, softwire} {
		serving(t, nil, func(s *scene, w *wire) {
			asked := packet(from, softwireMap(from, 3600))
			w.arrivals <- asked
			got, err := datagram.Parse(<-w.sent)
			if err != nil {
				s.Fatal(err)
			}
			want, _ := datagram.Parse(asked)
			back := want.Reply(nil)
			if got.From != back.From || got.To != back.To || got.OuterFrom != back.OuterFrom || got.OuterTo != back.OuterTo {
				s.Errorf("answered %+v", got)
			}
			if r, err := pcpmsg.ParseResponse(got.Payload); err != nil || r.Result != pcpmsg.Success || r.Mapping.ExternalPort != 1024 {
				s.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// TestRunDrops: what is not looked at, and counted.
func TestRunDrops(t *testing.T) {
	good := packet(plain, softwireMap(plain, 3600))
	damaged := append([]byte(nil), good...)
	damaged[len(damaged)-1] ^= 1
	other, _ := datagram.Parse(good)
	other.To = netip.AddrPortFrom(testBR, 53)
	behind := Origin{LwB4: testLwB4, Source: netip.MustParseAddr("192.168.1.20"), Softwire: true}
	serving(t, nil, func(s *scene, w *wire) {
		for _, p := range [][]byte{nil, good[:50], damaged, other.Packet(), packet(behind, softwireMap(behind, 60))} {
			w.arrivals <- p
		}
		synctest.Wait()
		if c := s.server.Counts(); c.Dropped != 5 || len(c.Answered) != 0 || len(w.sent) != 0 {
			s.Errorf("%+v, %d sent", c, len(w.sent))
		}
	})
}

// TestRates: a flood from one address is bounded, and one from a prefix; others
// are served.
func TestRates(t *testing.T) {
	in := func(prefix, host byte) Origin {
		a := testLwB4.As16()
		a[5], a[15] = prefix, host
		return Origin{LwB4: netip.AddrFrom16(a), Source: netip.AddrFrom16(a)}
	}
	edit := func(c *Config, f *fakeGrants) { c.SourceRate, c.PrefixRate, f.quota = 5, 8, 60 }
	announce := func(from Origin) []byte {
		return packet(from, pcpmsg.Request{Opcode: pcpmsg.Announce, Client: from.Source})
	}
	serving(t, edit, func(s *scene, w *wire) {
		flood := func(from Origin, want int) {
			s.Helper()
			for range 50 {
				w.arrivals <- announce(from)
			}
			synctest.Wait()
			if len(w.sent) != want {
				s.Errorf("%d answers, want %d", len(w.sent), want)
			}
			for len(w.sent) > 0 {
				<-w.sent
			}
		}
		flood(in(1, 1), 10) // 2 s worth
		flood(in(1, 2), 6)  // what is left of the prefix
		flood(in(2, 1), 10)
		time.Sleep(time.Second)
		flood(in(1, 1), 5)
		flood(in(1, 2), 3)
		time.Sleep(time.Hour)
		flood(in(1, 1), 10)
	})
	serving(t, edit, func(s *scene, w *wire) {
		for range 100 { // from one that may speak for others
			w.arrivals <- announce(third)
		}
		synctest.Wait()
		if len(w.sent) != 100 {
			s.Errorf("%d answers", len(w.sent))
		}
	})
	unlimited := func(c *Config, _ *fakeGrants) { c.SourceRate, c.PrefixRate = 0, 0 }
	serving(t, unlimited, func(s *scene, w *wire) {
		for range 100 {
			w.arrivals <- announce(in(1, 1))
		}
		synctest.Wait()
		if len(w.sent) != 100 {
			s.Errorf("%d answers", len(w.sent))
		}
	})
}

// slowGrants answers when it is told to.
type slowGrants struct {
	*fakeGrants
	proceed chan struct{}
}

func (g slowGrants) Acquire(ctx context.Context, w Want) (Binding, error) {
	select {
	case <-g.proceed:
		return g.fakeGrants.Acquire(ctx, w)
	case <-ctx.Done():
		return Binding{}, ctx.Err()
	}
}

// TestOverload: RFC 6887 section 8.2: more than may wait are dropped, and what
// waits for too long is, too.
func TestOverload(t *testing.T) {
	serving(t, func(c *Config, _ *fakeGrants) { c.MaxPending, c.Patience = 3, 5*time.Second }, func(s *scene, w *wire) {
		slow := slowGrants{s.grants, make(chan struct{})}
		s.server.grants = slow
		for range 5 {
			w.arrivals <- packet(plain, softwireMap(plain, 3600))
		}
		synctest.Wait()
		if c := s.server.Counts(); c.Dropped != 2 {
			s.Errorf("%+v", c)
		}
		slow.proceed <- struct{}{}
		synctest.Wait()
		if len(w.sent) != 1 {
			s.Errorf("%d answers", len(w.sent))
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if c := s.server.Counts(); c.Dropped != 4 || c.Answered[pcpmsg.Success] != 1 || len(w.sent) != 1 {
			s.Errorf("%+v, %d answers", c, len(w.sent))
		}
	})
}

func TestRunFails(t *testing.T) {
	s, w := newScene(t, nil), newWire()
	w.broken = errors.New("cut")
	if err := s.server.Run(t.Context(), w); !errors.Is(err, w.broken) {
		t.Errorf("%v", err)
	}
	serving(t, nil, func(s *scene, w *wire) {
		w.unsent = errors.New("full")
		w.arrivals <- packet(plain, softwireMap(plain, 3600))
		synctest.Wait()
		if c := s.server.Counts(); c.Unsent != 1 {
			s.Errorf("%+v", c)
		}
	})
}

// FuzzAnswer: whatever is asked, the answer is a response that is no longer than
// the request, but for the least length, and an error changes nothing.
func FuzzAnswer(f *testing.F) {
	f.Add(true, softwireMapBytes(softwire))
	f.Add(false, softwireMapBytes(plain))
	f.Add(false, []byte{0, 0})
	f.Fuzz(func(t *testing.T, inSoftwire bool, payload []byte) {
		// Without limits a server takes little memory.
		s := newScene(t, func(c *Config, _ *fakeGrants) { c.SourceRate, c.PrefixRate = 0, 0 })
		from := plain
		if inSoftwire {
			from = softwire
		}
		for _, b := range s.server.Answer(t.Context(), from, payload) {
			if len(b) > max(len(payload)+3, pcpmsg.HeaderLength) || len(b) > pcpmsg.MaxLength || len(b)%4 != 0 || b[0] != pcpmsg.Version || b[1]&0x80 == 0 {
				t.Fatalf("%x is answered %x", payload, b)
			}
			if b[3] != 0 && s.grants.acquired+s.grants.released > 0 && len(s.grants.bindings) > 0 {
				t.Fatalf("%x is answered %x, and changed something", payload, b)
			}
		}
	})
}

func softwireMapBytes(from Origin) []byte {
	r := softwireMap(from, 3600)
	return r.Append(nil)
}

// TestMappingUpdate: RFC 6887 section 14.2: a client is told three times of
// another port set, or until it asks again.
func TestMappingUpdate(t *testing.T) {
	for _, from := range []Origin{plain, softwire} {
		serving(t, nil, func(s *scene, w *wire) {
			changes, ended := make(chan Change), make(chan error, 1)
			go func() { ended <- s.server.Inform(s.Context(), changes, w) }()
			asked := packet(from, softwireMap(from, 3600))
			ask := func() {
				w.arrivals <- asked
				<-w.sent
			}
			ask()
			s.grants.now = time.Now
			move := func() Binding {
				old := s.grants.bindings[0]
				moved := old
				moved.PortSet, _ = portset.Of(0, 6, old.PortSet.PSID()+1)
				moved.Expires = time.Now().Add(time.Hour)
				s.grants.bindings[0] = moved
				changes <- Change{From: old, To: moved}
				return moved
			}
			moved := move()
			want, _ := datagram.Parse(asked)
			for i, after := range []time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond} {
				start := time.Now()
				d, err := datagram.Parse(<-w.sent)
				if time.Since(start) != after {
					s.Errorf("update %d came %s after the one before", i, time.Since(start))
				}
				r, parseErr := pcpmsg.ParseResponse(d.Payload)
				if err != nil || parseErr != nil || d.To != want.From || d.From != want.To || d.OuterTo != want.OuterFrom {
					s.Fatalf("%+v, %v, %v", d, err, parseErr)
				}
				set, ok := portSetOf(s.T, r)
				if r.Mapping.Nonce != testNonce || r.Mapping.InternalPort != 1 || r.Mapping.ExternalPort != firstBlock(moved.PortSet).First || !ok || set.Size != 1024 || r.Lifetime == 0 {
					s.Fatalf("%+v", r)
				}
			}
			time.Sleep(time.Minute)
			if len(w.sent) != 0 {
				s.Error("a fourth one")
			}
			// It stops when the client has asked again.
			move()
			<-w.sent
			ask()
			time.Sleep(time.Minute)
			if len(w.sent) != 0 {
				s.Errorf("%d more after the client has asked", len(w.sent))
			}
			// What has ended is forgotten, and nobody is told twice.
			last := s.grants.bindings[0]
			changes <- Change{From: last}
			changes <- Change{From: last, To: moved}
			time.Sleep(time.Minute)
			close(changes)
			if err := <-ended; err != nil {
				s.Error(err)
			}
			if len(w.sent) != 0 || len(s.server.contacts.known) != 0 {
				s.Errorf("%d updates, %d contacts", len(w.sent), len(s.server.contacts.known))
			}
		})
	}
}
