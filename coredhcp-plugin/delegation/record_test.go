package delegation

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// whole is a Delegation with everything.
func whole(t testing.TB) Delegation {
	t.Helper()
	set, err := portset.Of(0, 6, 5)
	if err != nil {
		t.Fatal(err)
	}
	at := func(hours int) time.Time { return time.Date(2026, 11, 22, hours, 0, 0, 0, time.UTC) }
	return Delegation{
		Prefix: netip.MustParsePrefix("2001:db8:1:8000::/56"), Pool: "access",
		Holder: Holder{Client: "client", DUID: "device", IAID: 0xfffefdfc, Line: "port"},
		State:  Bound, Start: at(1), Expires: at(2), Horizon: at(3), Until: at(4),
		Softwire: softwire.Softwire{
			IPv4: netip.MustParseAddr("192.0.2.3"), PortSet: set,
			B4: netip.MustParseAddr("2001:db8:1:8000:0:c000:203:5"), BR: netip.MustParseAddr("2001:db8:cafe::1"),
		},
		SoftwireExpires: at(5), Owing: true,
	}
}

// TestRecord: what is stored is read again.
func TestRecord(t *testing.T) {
	all := whole(t)
	bare := Delegation{Prefix: all.Prefix, State: Resting}
	for _, d := range []Delegation{all, bare} {
		got, err := decode(storeKey(d.Prefix), encode(d))
		if err != nil || got != d {
			t.Errorf("%v\nstored: %+v\nread:   %+v", err, d, got)
		}
		checkPacked(t, d)
	}
	// The format is what files have.
	want := append([]byte{1, 2, 0, 0, 0, 0, 0, 0, 0}, 0, 0, 0, 0)
	if got := encode(bare); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// checkPacked is that d is kept as it is, whatever was known of its prefix before.
func checkPacked(t *testing.T, d Delegation) {
	t.Helper()
	for _, before := range []Delegation{{Prefix: d.Prefix}, whole(t)} {
		var p packed
		p.pack(before)
		if p.pack(d); p.delegation() != d {
			t.Errorf("packed: %+v\nis:     %+v", d, p.delegation())
		}
	}
}

// TestRecordFaults: nothing else is read.
func TestRecordFaults(t *testing.T) {
	d := whole(t)
	key, good := storeKey(d.Prefix), encode(d)
	for i := range good {
		if _, err := decode(key, good[:i]); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("cut to %d of %d octets: %v", i, len(good), err)
		}
	}
	for name, c := range map[string]struct {
		key  string
		data []byte
	}{
		"a short key":        {key[:16], good},
		"a length of 129":    {key[:16] + "\x81", good},
		"bits beyond":        {key[:16] + "\x21", good},
		"more than it says":  {key, append(bytes.Clone(good), 0)},
		"another version":    {key, append([]byte{2}, good[1:]...)},
		"a state of 3":       {key, append([]byte{1, 3}, good[2:]...)},
		"a flag of tomorrow": {key, append([]byte{1, 1, 0x83}, good[3:]...)},
	} {
		if _, err := decode(c.key, c.data); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzRecord: whatever a file holds, reading it fails or makes sense.
func FuzzRecord(f *testing.F) {
	d := whole(f)
	f.Add(storeKey(d.Prefix), encode(d))
	f.Add(storeKey(d.Prefix), encode(Delegation{Prefix: d.Prefix, State: Resting}))
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		d, err := decode(key, data)
		if err != nil {
			return
		}
		again, err := decode(storeKey(d.Prefix), encode(d))
		if err != nil || again != d {
			t.Errorf("%v\nread:  %+v\nagain: %+v", err, d, again)
		}
		checkPacked(t, d)
	})
}
