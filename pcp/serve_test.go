package pcp

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// wire is a Transport in memory.
type wire struct {
	arrivals chan datagram.Datagram
	sent     chan datagram.Datagram
	broken   error // of Receive
	full     bool  // nothing can be sent
}

func newWire() *wire {
	return &wire{arrivals: make(chan datagram.Datagram, 256), sent: make(chan datagram.Datagram, 256)}
}

// Receive copies payloads to where it is told to, as sockets do.
func (w *wire) Receive(ctx context.Context, into []datagram.Datagram) (int, error) {
	if w.broken != nil {
		return 0, w.broken
	}
	select {
	case d := <-w.arrivals:
		d.Payload = append(into[0].Payload[:0], d.Payload...)
		into[0] = d
		return 1, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (w *wire) Send(_ context.Context, out []datagram.Datagram) int {
	if w.full {
		return 0
	}
	for _, d := range out {
		d.Payload = slices.Clone(d.Payload)
		w.sent <- d
	}
	return len(out)
}

var testBR = netip.MustParseAddr("2001:db8:ff::1")

// request is a request on its way.
func request(from Origin, r pcpmsg.Request) datagram.Datagram {
	d := datagram.Datagram{From: netip.AddrPortFrom(from.Source, 40000), Payload: r.Append(nil)}
	d.To = netip.AddrPortFrom(testBR, pcpmsg.ServerPort)
	if from.Softwire {
		d.OuterFrom, d.OuterTo = from.LwB4, testBR
		d.To = netip.AddrPortFrom(netip.MustParseAddr("192.0.0.1"), pcpmsg.ServerPort)
	}
	return d
}

// serving runs a server in a bubble while f talks to it.
func serving(t *testing.T, edit func(*Config, *fakeGrants), f func(s *scene, w *wire)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, w := newScene(t, edit), newWire()
		s.server.now, s.grants.now = time.Now, time.Now
		s.server.epoch = NewEpoch(time.Now().Add(-100 * time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.server.Run(ctx, w, 2) }()
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
			asked := request(from, softwireMap(from, 3600))
			w.arrivals <- asked
			got, back := <-w.sent, asked.Reply(nil)
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
	from := func(address string, port uint16) datagram.Datagram {
		source := netip.MustParseAddr(address)
		d := request(Origin{Source: source}, softwireMap(Origin{Source: source}, 3600))
		d.From = netip.AddrPortFrom(source, port)
		return d
	}
	inner := func(address string) datagram.Datagram {
		source := netip.MustParseAddr(address)
		behind := Origin{LwB4: testLwB4, Source: source, Softwire: true}
		return request(behind, softwireMap(behind, 60))
	}
	nobody := request(softwire, softwireMap(softwire, 3600))
	nobody.OuterFrom = netip.IPv6Unspecified()
	drops := map[string]datagram.Datagram{
		"no datagram": {}, "port 0": from("2001:db8:1000::1", 0), "everybody": from("ff02::1", 40000),
		"nobody": from("::", 40000), "nobody's softwire": nobody, "a lwB4 over IPv4": from("203.0.113.9", 40000),
		"a host behind a lwB4": inner("192.168.1.20"), "the public address": inner("192.0.2.5"), "beyond 192.0.0.0/29": inner("192.0.0.8"),
	}
	for name, d := range drops {
		serving(t, nil, func(s *scene, w *wire) {
			w.arrivals <- d
			synctest.Wait()
			if c := s.server.Counts(); c.Dropped != 1 || len(c.Answered) != 0 || len(w.sent) != 0 || len(s.grants.bindings) != 0 {
				s.Errorf("%s: %+v, %d sent", name, c, len(w.sent))
			}
		})
	}
}

// TestReflection: RFC 6887 section 8.2: two servers cannot be made to answer each
// other, though one is asked from the other's port.
func TestReflection(t *testing.T) {
	serving(t, nil, func(s *scene, w *wire) {
		d := request(plain, softwireMap(plain, 3600))
		d.From = netip.AddrPortFrom(testLwB4, pcpmsg.ServerPort)
		w.arrivals <- d
		answer := <-w.sent
		answer.From, answer.To = answer.To, answer.From
		w.arrivals <- answer
		d.Payload = []byte{0, 0} // NAT-PMP, whose answer is longer than what was asked
		w.arrivals <- d
		if short := <-w.sent; len(short.Payload) != pcpmsg.HeaderLength {
			s.Errorf("%x", short.Payload)
		}
		synctest.Wait()
		if c := s.server.Counts(); c.Dropped != 1 || len(w.sent) != 0 {
			s.Errorf("%+v, %d sent", c, len(w.sent))
		}
	})
}

// TestThirdPartyOverIPv4: over IPv4 nobody but a third party is answered, and about
// others only.
func TestThirdPartyOverIPv4(t *testing.T) {
	edit := func(c *Config, _ *fakeGrants) {
		c.ThirdParties = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	}
	serving(t, edit, func(s *scene, w *wire) {
		from := Origin{LwB4: testThird4, Source: testThird4}
		r := softwireMap(from, 3600)
		w.arrivals <- request(from, r)
		if d := <-w.sent; d.Payload[3] != byte(pcpmsg.NotAuthorized) {
			s.Errorf("for itself: %x", d.Payload)
		}
		r.Options = append(pcpmsg.ThirdParty(testLwB4).Append(nil), r.Options...)
		w.arrivals <- request(from, r)
		if d := <-w.sent; d.Payload[3] != byte(pcpmsg.Success) || len(s.grants.bindings) != 1 || s.grants.bindings[0].LwB4 != testLwB4 {
			s.Errorf("%x, %+v", d.Payload, s.grants.bindings)
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
	announce := func(from Origin) datagram.Datagram {
		return request(from, pcpmsg.Request{Opcode: pcpmsg.Announce, Client: from.Source})
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

// TestOverload: RFC 6887 section 8.2: more than may wait are dropped, and what
// waits for too long is, too. One that waits is not taken twice. Who renews does not
// wait for others.
func TestOverload(t *testing.T) {
	edit := func(c *Config, f *fakeGrants) {
		c.MaxPending, c.Patience, f.proceed = 3, 5*time.Second, make(chan struct{})
	}
	from := func(n byte) Origin {
		a := testOther.As16()
		a[5] = n
		return Origin{LwB4: netip.AddrFrom16(a), Source: netip.AddrFrom16(a)}
	}
	serving(t, edit, func(s *scene, w *wire) {
		dropped := func(want uint64, answers int) {
			s.Helper()
			synctest.Wait()
			if c := s.server.Counts(); c.Dropped != want || len(w.sent) != answers {
				s.Errorf("%+v, %d answers; want %d dropped, %d answers", c, len(w.sent), want, answers)
			}
		}
		for range 3 {
			w.arrivals <- request(plain, softwireMap(plain, 3600))
		}
		dropped(2, 0)
		for n := range byte(3) {
			w.arrivals <- request(from(n), softwireMap(from(n), 3600))
			synctest.Wait() // in this order
		}
		dropped(3, 0)
		s.grants.proceed <- struct{}{}
		dropped(3, 1)
		// Whoever got it renews, whatever waits.
		got := s.grants.bindings[0].LwB4
		w.arrivals <- request(Origin{Source: got}, softwireMap(Origin{Source: got}, 3600))
		dropped(3, 2)
		time.Sleep(6 * time.Second)
		dropped(5, 2)
	})
}

// TestQueue: what cannot be handled yet is in the order in which it came, and is
// not handled any more when it has waited for too long.
func TestQueue(t *testing.T) {
	edit := func(c *Config, f *fakeGrants) { c.Patience, f.proceed = 5*time.Second, make(chan struct{}) }
	serving(t, edit, func(s *scene, w *wire) {
		s.server.pending.mostHandled = 2
		source := func(n byte) netip.Addr {
			a := testOther.As16()
			a[5] = n
			return netip.AddrFrom16(a)
		}
		ask := func(n byte) {
			from := Origin{LwB4: source(n), Source: source(n)}
			w.arrivals <- request(from, softwireMap(from, 3600))
			synctest.Wait()
		}
		for n := range byte(6) {
			ask(n)
		}
		for range 4 {
			s.grants.proceed <- struct{}{}
			synctest.Wait()
		}
		// Of two that are handled at once, either is first.
		for i, want := range []byte{0, 0, 2, 2} {
			if to := (<-w.sent).To.Addr(); to != source(want) && to != source(want+1) {
				s.Errorf("answer %d is to %s", i, to)
			}
		}
		ask(6)
		time.Sleep(4 * time.Second)
		ask(7)
		time.Sleep(2 * time.Second)
		// 4 and 5 were handled, 6 was not any more, and 7 is.
		s.grants.proceed <- struct{}{}
		synctest.Wait()
		if c := s.server.Counts(); c.Dropped != 3 || len(w.sent) != 1 {
			s.Fatalf("%+v, %d answers", c, len(w.sent))
		}
		if to := (<-w.sent).To.Addr(); to != source(7) {
			s.Errorf("the last answer is to %s", to)
		}
	})
}

func TestRunFails(t *testing.T) {
	s, w := newScene(t, nil), newWire()
	w.broken = errors.New("cut")
	if err := s.server.Run(t.Context(), w, 2); !errors.Is(err, w.broken) {
		t.Errorf("%v", err)
	}
	serving(t, nil, func(s *scene, w *wire) {
		w.full = true
		w.arrivals <- request(plain, softwireMap(plain, 3600))
		synctest.Wait()
		if c := s.server.Counts(); c.Unsent != 1 {
			s.Errorf("%+v", c)
		}
	})
}
