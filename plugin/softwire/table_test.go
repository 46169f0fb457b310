package softwire

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// sw makes a softwire from texts; an empty port set is the whole address.
func sw(t testing.TB, ipv4, set, b4, br string) Softwire {
	t.Helper()
	var s portset.PortSet
	if set != "" {
		var err error
		if s, err = portset.ParsePortSet(set); err != nil {
			t.Fatal(err)
		}
	}
	return Softwire{netip.MustParseAddr(ipv4), s, netip.MustParseAddr(b4), netip.MustParseAddr(br)}
}

func TestRefusals(t *testing.T) {
	const br = "2001:db8:ffff::1"
	present := []Softwire{
		sw(t, "192.0.2.1", "6/8/52", "2001:db8::1", br),
		sw(t, "192.0.2.1", "6/8/53", "2001:db8::1", br), // one lwB4, two softwires
		sw(t, "192.0.2.2", "0/6/7", "2001:db8::2", br),
		sw(t, "192.0.2.3", "", "2001:db8::3", "2001:db8:ffff::2"),
	}
	for _, row := range []struct {
		name  string
		put   []Softwire
		want  error
		names []string // what the error must name
	}{
		{"same ports in longer sets", []Softwire{sw(t, "192.0.2.2", "0/10/112", "2001:db8::9", br)},
			ErrConflict, []string{"192.0.2.2 psid 0/10/112 lwB4 2001:db8::9", "192.0.2.2 psid 0/6/7 lwB4 2001:db8::2"}},
		{"same ports in shorter sets", []Softwire{sw(t, "192.0.2.2", "0/2/0", "2001:db8::9", br)},
			ErrConflict, []string{"192.0.2.2 psid 0/2/0", "192.0.2.2 psid 0/6/7"}},
		{"same ports with another offset", []Softwire{sw(t, "192.0.2.1", "0/6/3", "2001:db8::9", br)},
			ErrConflict, []string{"192.0.2.1 psid 0/6/3", "192.0.2.1 psid 6/8/52"}},
		{"a set of a whole address", []Softwire{sw(t, "192.0.2.3", "0/6/3", "2001:db8::9", br)},
			ErrConflict, []string{"192.0.2.3 psid 0/6/3", "192.0.2.3 lwB4 2001:db8::3"}},
		{"a whole address of a set", []Softwire{sw(t, "192.0.2.2", "", "2001:db8::9", br)},
			ErrConflict, []string{"192.0.2.2 lwB4 2001:db8::9", "192.0.2.2 psid 0/6/7"}},
		{"overlap within the batch", []Softwire{sw(t, "192.0.2.9", "0/1/0", "2001:db8::8", br), sw(t, "192.0.2.9", "0/2/1", "2001:db8::9", br)},
			ErrConflict, []string{"192.0.2.9 psid 0/1/0 lwB4 2001:db8::8", "192.0.2.9 psid 0/2/1 lwB4 2001:db8::9"}},
		{"one key twice in the batch", []Softwire{sw(t, "192.0.2.9", "0/1/0", "2001:db8::8", br), sw(t, "192.0.2.9", "0/1/0", "2001:db8::9", br)},
			ErrConflict, []string{"lwB4 2001:db8::8", "lwB4 2001:db8::9"}},
		{"one softwire twice in the batch", []Softwire{sw(t, "192.0.2.9", "0/1/0", "2001:db8::8", br), sw(t, "192.0.2.9", "0/1/0", "2001:db8::8", br)},
			ErrConflict, []string{"lwB4 2001:db8::8"}},
		{"a lwB4 that is a BR", []Softwire{sw(t, "192.0.2.9", "0/1/0", br, "2001:db8:ffff::3")},
			ErrConflict, []string{"192.0.2.9 psid 0/1/0", "192.0.2.1 psid 6/8/52"}},
		{"a BR that is a lwB4", []Softwire{sw(t, "192.0.2.9", "0/1/0", "2001:db8::9", "2001:db8::2")},
			ErrConflict, []string{"192.0.2.9 psid 0/1/0", "192.0.2.2 psid 0/6/7"}},
		{"both within the batch", []Softwire{sw(t, "192.0.2.9", "0/1/0", "2001:db8::9", "2001:db8:ffff::3"), sw(t, "192.0.2.9", "0/1/1", "2001:db8:ffff::3", br)},
			ErrConflict, []string{"192.0.2.9 psid 0/1/0", "192.0.2.9 psid 0/1/1"}},
		{"its own BR", []Softwire{sw(t, "192.0.2.9", "0/1/0", "2001:db8::9", "2001:db8::9")},
			ErrConflict, []string{"192.0.2.9 psid 0/1/0"}},
		{"an IPv6 address to share", []Softwire{sw(t, "2001:db8::9", "0/1/0", "2001:db8::9", br)}, ErrAddress, []string{"lwB4 2001:db8::9"}},
		{"a 4-mapped address to share", []Softwire{sw(t, "::ffff:192.0.2.9", "", "2001:db8::9", br)}, ErrAddress, []string{"192.0.2.9"}},
		{"multicast to share", []Softwire{sw(t, "224.0.0.1", "", "2001:db8::9", br)}, ErrAddress, []string{"224.0.0.1"}},
		{"broadcast to share", []Softwire{sw(t, "255.255.255.255", "", "2001:db8::9", br)}, ErrAddress, []string{"255.255.255.255"}},
		{"loopback to share", []Softwire{sw(t, "127.0.0.1", "", "2001:db8::9", br)}, ErrAddress, []string{"127.0.0.1"}},
		{"an unspecified address to share", []Softwire{sw(t, "0.0.0.0", "", "2001:db8::9", br)}, ErrAddress, []string{"0.0.0.0"}},
		{"an IPv4 lwB4", []Softwire{sw(t, "192.0.2.9", "", "192.0.2.8", br)}, ErrAddress, []string{"lwB4 192.0.2.8"}},
		{"a 4-mapped lwB4", []Softwire{sw(t, "192.0.2.9", "", "::ffff:192.0.2.8", br)}, ErrAddress, []string{"192.0.2.8"}},
		{"a link-local lwB4", []Softwire{sw(t, "192.0.2.9", "", "fe80::1", br)}, ErrAddress, []string{"fe80::1"}},
		{"a multicast lwB4", []Softwire{sw(t, "192.0.2.9", "", "ff02::1", br)}, ErrAddress, []string{"ff02::1"}},
		{"a zoned lwB4", []Softwire{sw(t, "192.0.2.9", "", "2001:db8::9%eth0", br)}, ErrAddress, []string{"%eth0"}},
		{"an IPv4 BR", []Softwire{sw(t, "192.0.2.9", "", "2001:db8::9", "192.0.2.8")}, ErrAddress, []string{"BR 192.0.2.8"}},
		{"an unspecified BR", []Softwire{sw(t, "192.0.2.9", "", "2001:db8::9", "::")}, ErrAddress, []string{"BR ::"}},
		{"nothing set", []Softwire{{}}, ErrAddress, []string{"invalid IP"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			table := NewTable()
			if err := table.Apply(Change{Put: present}); err != nil {
				t.Fatal(err)
			}
			before := table.Snapshot()
			good := sw(t, "198.51.100.1", "0/6/1", "2001:db8::77", br)
			for _, put := range [][]Softwire{append([]Softwire{good}, row.put...), append(slices.Clone(row.put), good)} {
				err := table.Apply(Change{Put: put, Remove: []Key{present[1].Key()}})
				if !errors.Is(err, row.want) {
					t.Fatalf("%v, want %v", err, row.want)
				}
				for _, name := range row.names {
					if !strings.Contains(err.Error(), name) {
						t.Errorf("%q does not name %q", err, name)
					}
				}
				_, err = table.Replace(slices.Values(append(slices.Clone(present), put...)))
				if !errors.Is(err, row.want) {
					t.Fatalf("Replace: %v, want %v", err, row.want)
				}
			}
			if table.Snapshot() != before {
				t.Fatal("a refused batch changed the table")
			}
			if err := table.Apply(Change{Put: []Softwire{good}}); err != nil {
				t.Fatalf("after the refusal: %v", err)
			}
			if slot, _ := table.Snapshot().Slot(good.Key()); int(slot) != len(present) {
				t.Fatalf("slot %d: the refused batch kept some", slot)
			}
		})
	}
}

// TestRoomMadeByTheBatch puts what only the removals of the same batch allow.
func TestRoomMadeByTheBatch(t *testing.T) {
	table := NewTable()
	a := sw(t, "192.0.2.1", "0/6/7", "2001:db8::1", "2001:db8:ffff::1")
	b := sw(t, "192.0.2.1", "0/6/8", "2001:db8::2", "2001:db8:ffff::2")
	if err := table.Apply(Change{Put: []Softwire{a, b}}); err != nil {
		t.Fatal(err)
	}
	whole := sw(t, "192.0.2.1", "", "2001:db8:ffff::1", "2001:db8::1") // roles changed over
	if err := table.Apply(Change{Remove: []Key{a.Key(), b.Key()}, Put: []Softwire{whole}}); err != nil {
		t.Fatal(err)
	}
	s := table.Snapshot()
	if got := slices.Collect(s.All()); !slices.Equal(got, []Softwire{whole}) {
		t.Fatalf("%v, want %v", got, whole)
	}
	if s.HasBR(a.BR.As16()) || s.HasB4(a.B4.As16()) || !s.HasBR(a.B4.As16()) || !s.HasB4(a.BR.As16()) {
		t.Fatal("the roles of the addresses are wrong")
	}
	moved := whole
	moved.BR = netip.MustParseAddr("2001:db8:ffff::9")
	if err := table.Apply(Change{Remove: []Key{whole.Key()}, Put: []Softwire{moved}}); err != nil {
		t.Fatal(err)
	}
	if got, ok := table.Snapshot().Get(whole.Key()); !ok || got != moved {
		t.Fatalf("a put with the removal of its key left %v, %v", got, ok)
	}
}

func TestEmptyTable(t *testing.T) {
	table := NewTable()
	s := table.Snapshot()
	_, found := s.Lookup([4]byte{192, 0, 2, 1}, 80)
	_, got := s.Get(Key{})
	_, slot := s.Slot(Key{IPv4: netip.MustParseAddr("192.0.2.1")})
	if found || got || slot || s.Len() != 0 || s.Slots() != 0 || s.HasB4([16]byte{}) || s.HasBR([16]byte{}) || s.Address([4]byte{}) {
		t.Fatal("an empty table has something")
	}
	for x := range s.ByB4(netip.Addr{}) {
		t.Fatalf("an empty table has %v", x)
	}
	absent := Change{Remove: []Key{{}, {IPv4: netip.MustParseAddr("2001:db8::1")}, {IPv4: netip.MustParseAddr("192.0.2.1")}}}
	if err := table.Apply(absent); err != nil {
		t.Fatalf("removing what is not there: %v", err)
	}
	if err := table.Apply(Change{}); err != nil || table.Snapshot() != s {
		t.Fatalf("applying nothing: %v, or a new snapshot", err)
	}
	if (Change{}).Empty() != true || absent.Empty() {
		t.Fatal("Empty is wrong")
	}
	if d, err := table.Replace(slices.Values([]Softwire(nil))); err != nil || !d.Empty() {
		t.Fatalf("replacing nothing by nothing: %v, %v", d, err)
	}
}

// TestManySoftwiresOfOneB4 branches the list of one lwB4 and makes it a list
// again.
func TestManySoftwiresOfOneB4(t *testing.T) {
	table := NewTable()
	p, err := portset.NewParams(0, 12)
	if err != nil {
		t.Fatal(err)
	}
	var all []Softwire
	for psid := range p.Sets() {
		all = append(all, Softwire{netip.MustParseAddr("192.0.2.1"), setOf(p, uint16(psid)), subscriber(psid % 3), someBR})
	}
	for step := 64; len(all) > 0; step = min(step*2, 1024) {
		if _, err := table.Replace(slices.Values(all)); err != nil {
			t.Fatal(err)
		}
		checkStructure(t, table.Snapshot())
		for n := range 3 {
			want := slices.DeleteFunc(slices.Clone(all), func(s Softwire) bool { return s.B4 != subscriber(n) })
			if got := slices.Collect(table.Snapshot().ByB4(subscriber(n))); !slices.Equal(got, want) {
				t.Fatalf("subscriber %d has %d softwires, want %d in order", n, len(got), len(want))
			}
		}
		all = all[min(step, len(all)):]
	}
	if table.Snapshot().Len() == 0 {
		t.Fatal("the last step left nothing to look at")
	}
}

// TestB4sOfOneHash gives softwires to two lwB4s whose hashes are equal.
func TestB4sOfOneHash(t *testing.T) {
	table := NewTable()
	seen := make(map[uint32]netip.Addr)
	for n := range 1 << 20 { // a hundred pairs are expected, the search ends with the first
		b4 := subscriber(n)
		b := b4.As16()
		hash := hashB4(table.Snapshot().seed, &b)
		other, ok := seen[hash]
		if !ok {
			seen[hash] = b4
			continue
		}
		x := Softwire{netip.MustParseAddr("192.0.2.1"), portset.PortSet{}, b4, someBR}
		y := Softwire{netip.MustParseAddr("192.0.2.2"), portset.PortSet{}, other, someBR}
		if err := table.Apply(Change{Put: []Softwire{x}}); err != nil {
			t.Fatal(err)
		}
		if table.Snapshot().HasB4(other.As16()) {
			t.Fatalf("%v is taken for %v", b4, other)
		}
		if err := table.Apply(Change{Put: []Softwire{y}}); err != nil {
			t.Fatal(err)
		}
		for _, s := range []Softwire{x, y} {
			if got := slices.Collect(table.Snapshot().ByB4(s.B4)); !slices.Equal(got, []Softwire{s}) {
				t.Fatalf("ByB4(%v) = %v", s.B4, got)
			}
		}
		return
	}
	t.Fatal("no two hashes are equal")
}
