package store

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func key(t testing.TB, ip, set string) softwire.Key {
	t.Helper()
	p, err := portset.ParsePortSet(set)
	if err != nil {
		t.Fatal(err)
	}
	return softwire.Key{IPv4: netip.MustParseAddr(ip), PortSet: p}
}

func full(t testing.TB) lease.Lease {
	t.Helper()
	k := key(t, "192.0.2.7", "6/8/52")
	at := time.Unix(1_772_719_387, 0).UTC()
	return lease.Lease{
		Softwire: softwire.Softwire{
			IPv4: k.IPv4, PortSet: k.PortSet,
			B4: netip.MustParseAddr("2001:db8:1:100::1"), BR: netip.MustParseAddr("2001:db8:ffff::1"),
		},
		Subscriber: netip.MustParsePrefix("2001:db8:1:100::/56"),
		Number:     2, Pool: "residential", Mechanism: pool.DHCPv6, State: lease.Leaving,
		Reserved: true, Start: at, Expires: at.Add(time.Hour), Horizon: at.Add(2 * time.Hour), Until: at.Add(3 * time.Hour),
		Attributes: "\x01\x02ab",
	}
}

func TestRecord(t *testing.T) {
	never := full(t)
	never.Expires, never.Horizon, never.Until = time.Time{}, time.Time{}, time.Time{}
	reserved := full(t)
	reserved.Softwire.B4 = netip.Addr{}
	epoch := full(t)
	epoch.Start = time.Unix(0, 0).UTC()
	for name, want := range map[string]lease.Lease{"full": full(t), "never expires": never, "no lwB4": reserved, "1970": epoch} {
		t.Run(name, func(t *testing.T) {
			if err := validate(want); err != nil {
				t.Fatal(err)
			}
			var d Decoder
			got, err := d.Lease(AppendKey(nil, want.Key()), AppendLease(nil, want))
			if err != nil || got != want {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
			}
		})
	}
}

// A record that is cut short anywhere, or goes on after its end, is refused.
func TestRecordLength(t *testing.T) {
	l := full(t)
	k, record := AppendKey(nil, l.Key()), AppendLease(nil, l)
	var d Decoder
	for n := range record {
		if got, err := d.Lease(k, record[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d of %d bytes: %v, %v", n, len(record), got, err)
		}
	}
	if got, err := d.Lease(k, append(record, 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("one byte more: %v, %v", got, err)
	}
	if _, err := d.Lease(k[:7], record); !errors.Is(err, ErrCorrupt) {
		t.Errorf("short key: %v", err)
	}
}

func TestKeyOrder(t *testing.T) {
	keys := []softwire.Key{
		key(t, "9.255.255.255", "0/0/0"), key(t, "192.0.2.7", "0/0/0"), key(t, "192.0.2.7", "0/6/1"), key(t, "192.0.2.7", "0/6/2"),
		key(t, "192.0.2.7", "0/16/1"), key(t, "192.0.2.7", "0/16/256"), key(t, "192.0.2.7", "6/8/0"), key(t, "192.0.2.8", "0/0/0"),
	}
	for _, a := range keys {
		encoded := AppendKey(nil, a)
		if got, err := ParseKey(encoded); err != nil || got != a {
			t.Errorf("%s became %s, %v", a, got, err)
		}
		for _, b := range keys {
			if got, want := bytes.Compare(encoded, AppendKey(nil, b)), a.Compare(b); got != want {
				t.Errorf("%s and %s: encoded compare as %d, want %d", a, b, got, want)
			}
		}
	}
}

func FuzzRecord(f *testing.F) {
	l := full(f)
	f.Add(AppendKey(nil, l.Key()), AppendLease(nil, l))
	f.Add(AppendKey(nil, l.Key()), bytes.Repeat([]byte{0}, 60))
	f.Fuzz(func(t *testing.T, key, record []byte) {
		var d Decoder
		got, err := d.Lease(key, record)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%v, want ErrCorrupt", err)
			}
			return
		}
		// Numbers can be written in more than one way, so the bytes may differ.
		again, err := d.Lease(AppendKey(nil, got.Key()), AppendLease(nil, got))
		if err != nil || again != got {
			t.Errorf("%+v became %+v, %v", got, again, err)
		}
	})
}
