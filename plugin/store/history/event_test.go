package history

import (
	"encoding"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

var _ encoding.BinaryAppender = Event{}

func key(ip string, set string) softwire.Key {
	p, err := portset.ParsePortSet(set)
	if err != nil {
		panic(err)
	}
	return softwire.Key{IPv4: netip.MustParseAddr(ip), PortSet: p}
}

// allocated is an event that is as good as any.
func allocated() Event {
	return Event{
		Time: time.UnixMilli(1_772_719_387_123).UTC(), Kind: Allocated, Key: key("192.0.2.7", "0/6/30"),
		Holder: Holder{
			Subscriber: netip.MustParsePrefix("2001:db8:1:100::/56"),
			B4:         netip.MustParseAddr("2001:db8:1:100::1"),
			BR:         netip.MustParseAddr("2001:db8:ffff::1"),
			Pool:       "residential", Mechanism: "dhcpv6", Attributes: "\x01\x0a\x00\x03\x00\x01\x02\x42\xac\x11\x00\x02",
		},
		Reason: "requested",
	}
}

func withEvent(e Event, change func(*Event)) Event {
	change(&e)
	return e
}

func TestEventCodec(t *testing.T) {
	tests := map[string]Event{
		"allocated": allocated(),
		"released": withEvent(allocated(), func(e *Event) {
			e.Kind, e.Start = Released, time.UnixMilli(1_700_000_000_000).UTC()
		}),
		"whole address": withEvent(allocated(), func(e *Event) { e.Key = key("0.0.0.0", "0/0/0") }),
		"single port":   withEvent(allocated(), func(e *Event) { e.Key = key("255.255.255.255", "0/16/65535") }),
		"no texts":      withEvent(allocated(), func(e *Event) { e.Pool, e.Mechanism, e.Attributes, e.Reason = "", "", "", "" }),
		"long texts": withEvent(allocated(), func(e *Event) {
			e.Pool, e.Attributes = strings.Repeat("p", MaxText), lease.Attributes(strings.Repeat("a", MaxAttributes))
		}),
		"B4 elsewhere":       withEvent(allocated(), func(e *Event) { e.B4 = netip.MustParseAddr("fd00::ffff:0:1") }),
		"B4 all zeros":       withEvent(allocated(), func(e *Event) { e.B4 = netip.MustParseAddr("::") }),
		"subscriber of 0":    withEvent(allocated(), func(e *Event) { e.Subscriber = netip.MustParsePrefix("::/0") }),
		"subscriber of 57":   withEvent(allocated(), func(e *Event) { e.Subscriber = netip.MustParsePrefix("2001:db8:1:180::/57") }),
		"subscriber is B4":   withEvent(allocated(), func(e *Event) { e.Subscriber = netip.MustParsePrefix("2001:db8:1:100::1/128") }),
		"mapped in B4":       withEvent(allocated(), func(e *Event) { e.B4 = netip.MustParseAddr("::ffff:192.0.2.1") }),
		"first and last day": withEvent(allocated(), func(e *Event) { e.Time, e.Start = stamp(1).time(), (lastStamp - 1).time() }),
	}
	for name, e := range tests {
		t.Run(name, func(t *testing.T) {
			b, err := e.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseEvent(b)
			if err != nil || got != e {
				t.Errorf("got %+v, %v\nwant %+v", got, err, e)
			}
			for n := range b {
				if _, err := ParseEvent(b[:n]); !errors.Is(err, ErrEvent) {
					t.Errorf("the first %d of %d bytes: %v", n, len(b), err)
				}
			}
			if _, err := ParseEvent(append(b, 0)); !errors.Is(err, ErrEvent) {
				t.Errorf("a byte more: %v", err)
			}
		})
	}
}

func TestEventRefused(t *testing.T) {
	tests := map[string]func(*Event){
		"no kind":         func(e *Event) { e.Kind = 0 },
		"unknown kind":    func(e *Event) { e.Kind = Removed + 1 },
		"no time":         func(e *Event) { e.Time = time.Time{} },
		"before 1970":     func(e *Event) { e.Time = time.Unix(-1, 0) },
		"year 2500":       func(e *Event) { e.Time = lastStamp.time() },
		"bad start":       func(e *Event) { e.Start = time.Unix(-1, 0) },
		"IPv6 as IPv4":    func(e *Event) { e.Key.IPv4 = e.B4 },
		"no address":      func(e *Event) { e.Key.IPv4 = netip.Addr{} },
		"no subscriber":   func(e *Event) { e.Subscriber = netip.Prefix{} },
		"IPv4 subscriber": func(e *Event) { e.Subscriber = netip.MustParsePrefix("192.0.2.0/24") },
		"host bits":       func(e *Event) { e.Subscriber = netip.PrefixFrom(e.B4, 56) },
		"no B4":           func(e *Event) { e.B4 = netip.Addr{} },
		"zoned B4":        func(e *Event) { e.B4 = e.B4.WithZone("eth0") },
		"no BR":           func(e *Event) { e.BR = netip.Addr{} },
		"long pool":       func(e *Event) { e.Pool = strings.Repeat("p", MaxText+1) },
		"long reason":     func(e *Event) { e.Reason = strings.Repeat("p", MaxText+1) },
		"long mechanism":  func(e *Event) { e.Mechanism = pool.Mechanism(strings.Repeat("p", MaxText+1)) },
		"long attributes": func(e *Event) { e.Attributes = lease.Attributes(strings.Repeat("p", MaxAttributes+1)) },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			if b, err := withEvent(allocated(), change).AppendBinary(nil); !errors.Is(err, ErrEvent) || b != nil {
				t.Errorf("got %x, %v", b, err)
			}
		})
	}
}

// TestPackKey: packed keys are in the order of keys.
func TestPackKey(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	last := softwire.Key{IPv4: netip.MustParseAddr("0.0.0.0")}
	for range 20_000 {
		a := uint8(r.IntN(17))
		k := uint8(r.IntN(17 - int(a)))
		set, err := portset.Of(a, k, uint16(r.IntN(1<<k)))
		if err != nil {
			t.Fatal(err)
		}
		next := softwire.Key{IPv4: netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(3))}), PortSet: set}
		n := packKey(next)
		if got, ok := unpackKey(n); !ok || got != next {
			t.Fatalf("%s: unpacked %s, %t", next, got, ok)
		}
		if want := next.Compare(last) < 0; (n < packKey(last)) != want {
			t.Fatalf("%s before %s: %t", next, last, !want)
		}
		last = next
	}
	for _, n := range []uint64{1 << 58, 17 << 21, 17 << 16, 1<<21 | 0<<16, 2<<16 | 4} {
		if k, ok := unpackKey(n); ok {
			t.Errorf("%x unpacked to %s", n, k)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	b, err := allocated().AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEvent(b)
		if err != nil {
			return
		}
		again, err := e.AppendBinary(nil)
		if err != nil {
			t.Fatalf("%+v was read but cannot be written: %v", e, err)
		}
		if got, err := ParseEvent(again); err != nil || got != e {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, e)
		}
	})
}
