package client

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

var (
	serverA = netip.MustParseAddrPort("[2001:db8:ff::a]:5351")
	serverB = netip.MustParseAddrPort("[2001:db8:ff::b]:5351")
)

// bench is a set whose requests and reports are written down.
type bench struct {
	*testing.T
	*Set
	now     time.Time
	sent    []string // "<address> <opcode> <nonce's last octet> <lifetime>"
	status  map[pcpmsg.Nonce]Status
	lost    []netip.AddrPort
	heard   []uint32 // epochs announced
	started time.Time
}

func newBench(t *testing.T, servers ...netip.AddrPort) *bench {
	b := &bench{T: t, now: storyBegins, started: storyBegins, status: make(map[pcpmsg.Nonce]Status)}
	set, err := NewSet(SetConfig{
		Servers: servers, Client: testB4, Timing: DefaultTiming(), Random: func() float64 { return 0.5 },
		Send: func(to netip.AddrPort, request []byte) {
			r, err := pcpmsg.ParseRequest(request)
			if err != nil || r.Client != testB4 {
				t.Fatalf("sends %+v: %v", r, err)
			}
			b.sent = append(b.sent, fmt.Sprintf("%s %s %d %d", to.Addr(), r.Opcode, r.Mapping.Nonce[11], r.Lifetime))
		},
		Report:    func(n pcpmsg.Nonce, s Status) { b.status[n] = s },
		StateLost: func(server netip.AddrPort) { b.lost = append(b.lost, server) },
		Announced: func(_ netip.AddrPort, epoch uint32) { b.heard = append(b.heard, epoch) },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Set = set
	return b
}

func numbered(n byte) Want {
	w := softwireWant()
	w.Nonce = pcpmsg.Nonce{11: n}
	w.Lifetime = time.Duration(n) * time.Hour
	return w
}

// add adds the mapping n.
func (b *bench) add(n byte) {
	b.Helper()
	if err := b.Add(b.now, numbered(n), true); err != nil {
		b.Fatal(err)
	}
}

// answer has the mapping n granted by from, whose epoch is right unless
// something is added to it.
func (b *bench) answer(from netip.AddrPort, n byte, edit func(*pcpmsg.Response)) {
	b.Helper()
	w := numbered(n)
	r := grantResponse(&w, netip.AddrPortFrom(testSet.Addr(), uint16(n)<<8), 256, time.Hour)
	r.Epoch = b.epoch()
	if edit != nil {
		edit(&r)
	}
	if err := b.Receive(b.now, from, r.Append(nil)); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) epoch() uint32 { return 10000 + uint32(b.now.Sub(b.started)/time.Second) }

func (b *bench) pass(d time.Duration) {
	end := b.now.Add(d)
	for next := b.Next(); !next.IsZero() && !next.After(end); next = b.Next() {
		b.now = next
		b.Wake(next)
	}
	b.now = end
}

func (b *bench) wantSent(want ...string) {
	b.Helper()
	if fmt.Sprint(b.sent) != fmt.Sprint(want) {
		b.Fatalf("sent %q, want %q", b.sent, want)
	}
	b.sent = nil
}

func TestSetKeepsSeveral(t *testing.T) {
	b := newBench(t, serverA)
	b.add(1)
	b.add(2)
	b.wantSent("2001:db8:ff::a MAP 1 3600", "2001:db8:ff::a MAP 2 7200")
	b.answer(serverA, 2, nil)
	b.pass(3 * time.Second)
	b.wantSent("2001:db8:ff::a MAP 1 3600")
	b.answer(serverA, 1, nil)
	for n := byte(1); n <= 2; n++ {
		if s := b.status[pcpmsg.Nonce{11: n}]; !s.Held || s.Grant.ExternalPort != uint16(n)<<8 {
			t.Errorf("mapping %d: %+v", n, s)
		}
	}
	b.Forget(pcpmsg.Nonce{11: 1})
	b.pass(40 * time.Minute)
	b.wantSent("2001:db8:ff::a MAP 2 7200")
	if err := b.Delete(b.now, numbered(2)); err != nil {
		t.Fatal(err)
	}
	b.wantSent("2001:db8:ff::a MAP 2 0")
	b.answer(serverA, 2, func(r *pcpmsg.Response) { r.Lifetime = 0 })
	if s := b.status[pcpmsg.Nonce{11: 2}]; !s.Closed {
		t.Errorf("%+v", s)
	}
	if !b.Next().IsZero() || len(b.mappings) != 0 {
		t.Errorf("%d mappings are left, the next is due at %s", len(b.mappings), b.Next())
	}
}

func TestSetRefuses(t *testing.T) {
	b := newBench(t, serverA)
	b.add(1)
	if err := b.Add(b.now, numbered(1), true); !errors.Is(err, ErrNonceInUse) {
		t.Errorf("%v", err)
	}
	if err := b.Add(b.now, Want{}, true); !errors.Is(err, ErrWant) {
		t.Errorf("%v", err)
	}
	if err := b.Delete(b.now, Want{Nonce: testNonce}); !errors.Is(err, ErrWant) {
		t.Errorf("%v", err)
	}
	for name, servers := range map[string][]netip.AddrPort{
		"none": nil, "unset": {{}}, "no port": {netip.AddrPortFrom(serverA.Addr(), 0)},
		"multicast": {netip.MustParseAddrPort("[ff02::1]:5351")}, "unspecified": {netip.MustParseAddrPort("[::]:5351")},
	} {
		if _, err := NewSet(SetConfig{Servers: servers, Timing: DefaultTiming()}); !errors.Is(err, ErrServers) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewSet(SetConfig{Servers: []netip.AddrPort{serverA}}); !errors.Is(err, ErrTiming) {
		t.Errorf("%v", err)
	}
}

// TestSetIgnores: RFC 6887 section 8.3.
func TestSetIgnores(t *testing.T) {
	b := newBench(t, serverA)
	b.add(1)
	w := numbered(1)
	good := grantResponse(&w, testSet, 256, time.Hour)
	wire := good.Append(nil)
	other := numbered(9)
	stranger := grantResponse(&other, testSet, 256, time.Hour)
	announceError := pcpmsg.Response{Opcode: pcpmsg.Announce, Result: pcpmsg.NetworkFailure}
	for name, p := range map[string]packet{
		"other address":              {netip.MustParseAddrPort("[2001:db8::666]:5351"), wire},
		"other port":                 {netip.AddrPortFrom(serverA.Addr(), 5350), wire},
		"cut":                        {serverA, wire[:59]},
		"request":                    {serverA, w.append(nil, testB4, testSet, false)},
		"other nonce":                {serverA, stranger.Append(nil)},
		"announcement with an error": {serverA, announceError.Append(nil)},
	} {
		if err := b.Receive(b.now, p.from, p.payload); !errors.Is(err, pcpmsg.ErrDrop) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(b.status) != 0 || len(b.heard) != 0 || b.servers[0].epoch.known {
		t.Fatalf("believed: %v", b.status)
	}
	if err := b.Receive(b.now, serverA, wire); err != nil || !b.status[w.Nonce].Held {
		t.Fatalf("%v, %+v", err, b.status)
	}
}

// TestSetEpoch: a server that lost its state is asked again for everything it
// gave but what it just answered, whichever message tells.
func TestSetEpoch(t *testing.T) {
	held := func(t *testing.T) *bench {
		b := newBench(t, serverA, serverB)
		for n := byte(1); n <= 3; n++ {
			b.add(n)
			b.answer(serverA, n, nil)
		}
		b.sent = nil
		b.pass(time.Minute)
		return b
	}
	announcement := func(epoch uint32) []byte {
		r := pcpmsg.Response{Opcode: pcpmsg.Announce, Epoch: epoch}
		return r.Append(nil)
	}
	t.Run("answer", func(t *testing.T) {
		b := held(t)
		b.answer(serverA, 2, func(r *pcpmsg.Response) { r.Epoch = 3 })
		b.wantSent()
		b.pass(5 * time.Second)
		if len(b.sent) != 2 || len(b.lost) != 1 || b.lost[0] != serverA {
			t.Fatalf("sent %q, lost %v", b.sent, b.lost)
		}
	})
	t.Run("announcement", func(t *testing.T) {
		b := held(t)
		if err := b.Receive(b.now, serverA, announcement(0)); err != nil {
			t.Fatal(err)
		}
		b.pass(5 * time.Second)
		if len(b.sent) != 3 || len(b.lost) != 1 || len(b.heard) != 1 {
			t.Fatalf("sent %q, lost %v, heard %v", b.sent, b.lost, b.heard)
		}
		// What is repeated by a server that announces several times is no other loss.
		if err := b.Receive(b.now, serverA, announcement(5)); err != nil || len(b.lost) != 1 {
			t.Fatalf("%v, lost %v", err, b.lost)
		}
	})
	t.Run("announcement of a server that lost nothing", func(t *testing.T) {
		b := held(t)
		if err := b.Receive(b.now, serverA, announcement(b.epoch())); err != nil {
			t.Fatal(err)
		}
		b.pass(5 * time.Second)
		if len(b.sent) != 0 || len(b.lost) != 0 {
			t.Fatalf("sent %q, lost %v", b.sent, b.lost)
		}
	})
	t.Run("other address", func(t *testing.T) {
		b := held(t)
		if err := b.Receive(b.now, serverB, announcement(0)); err != nil {
			t.Fatal(err)
		}
		b.pass(5 * time.Second)
		if len(b.sent) != 0 || len(b.lost) != 0 {
			t.Fatalf("sent %q, lost %v", b.sent, b.lost)
		}
	})
}

// TestSetNoResources: RFC 6887 section 11.4.
func TestSetNoResources(t *testing.T) {
	noResources := func(r *pcpmsg.Response) { r.Result, r.Lifetime = pcpmsg.NoResources, 30 }
	t.Run("of a mapping", func(t *testing.T) {
		b := newBench(t, serverA)
		b.add(1)
		b.answer(serverA, 1, nil)
		b.add(2)
		b.sent = nil
		b.answer(serverA, 2, noResources)
		b.add(3) // a new one waits
		b.wantSent()
		if err := b.Delete(b.now, numbered(1)); err != nil { // a deletion does not
			t.Fatal(err)
		}
		b.wantSent("2001:db8:ff::a MAP 1 0")
		b.answer(serverA, 1, func(r *pcpmsg.Response) { r.Lifetime = 0 })
		b.pass(30*time.Second - 1)
		b.wantSent()
		b.pass(1)
		if len(b.sent) != 2 {
			t.Fatalf("sent %q", b.sent)
		}
	})
	t.Run("of a deletion", func(t *testing.T) {
		b := newBench(t, serverA)
		b.add(1)
		b.answer(serverA, 1, func(r *pcpmsg.Response) { r.Lifetime = 40 })
		b.add(2)
		b.answer(serverA, 2, nil)
		if err := b.Delete(b.now, numbered(2)); err != nil {
			t.Fatal(err)
		}
		b.sent = nil
		b.pass(time.Second)
		b.answer(serverA, 2, noResources)
		b.pass(30*time.Second - 1)
		b.wantSent() // not even the renewal that was due
		b.pass(1)
		if len(b.sent) != 2 {
			t.Fatalf("sent %q", b.sent)
		}
	})
}

// TestSetPrefers: a new mapping begins with the address that answered last.
func TestSetPrefers(t *testing.T) {
	b := newBench(t, serverA, serverB)
	b.add(1)
	b.Unreachable(b.now, serverA)
	b.Unreachable(b.now, netip.MustParseAddrPort("[2001:db8::666]:5351"))
	b.wantSent("2001:db8:ff::a MAP 1 3600", "2001:db8:ff::b MAP 1 3600")
	b.answer(serverB, 1, nil)
	b.answer(serverA, 1, nil) // given up
	b.add(2)
	b.wantSent("2001:db8:ff::b MAP 2 7200")
	b.Announce(1)
	b.wantSent("2001:db8:ff::b ANNOUNCE 0 0")
}

func TestSetOtherVersion(t *testing.T) {
	b := newBench(t, serverA)
	b.add(1)
	var version *pcpmsg.VersionError
	err := b.Receive(b.now, serverA, []byte{0, 0x81, 0, 1, 0, 0, 0, 9})
	if !errors.As(err, &version) || version.Version != 0 || !errors.As(b.status[numbered(1).Nonce].Err, &version) {
		t.Fatalf("%v, %+v", err, b.status)
	}
}
