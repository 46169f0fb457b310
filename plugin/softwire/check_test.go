package softwire

import (
	"net/netip"
	"slices"
	"testing"
)

// checkSnapshot compares all reads of s with m.
func checkSnapshot(t *testing.T, s *Snapshot, m model, w *world) {
	t.Helper()
	all := slices.Collect(s.All())
	if want := m.sorted(); !slices.Equal(all, want) || s.Len() != len(want) {
		t.Fatalf("%d of %d softwires: %v, want %v", len(all), s.Len(), all, want)
	}
	for _, x := range all {
		if got, ok := s.Get(x.Key()); !ok || got != x {
			t.Fatalf("Get(%v) = %v, %v, want %v", x.Key(), got, ok, x)
		}
	}
	for range 5 {
		k := w.softwire().Key()
		if got, ok := s.Get(k); ok != (m[k] != Softwire{}) || got != m[k] {
			t.Fatalf("Get(%v) = %v, %v, want %v", k, got, ok, m[k])
		}
	}
	for _, b4 := range w.b4s {
		var want []Softwire
		for _, x := range all {
			if x.B4 == b4 {
				want = append(want, x)
			}
		}
		if got := slices.Collect(s.ByB4(b4)); !slices.Equal(got, want) || s.HasB4(b4.As16()) != (len(want) > 0) {
			t.Fatalf("ByB4(%v) = %v, want %v", b4, got, want)
		}
	}
	for _, br := range w.brs {
		if want := slices.ContainsFunc(all, func(x Softwire) bool { return x.BR == br }); s.HasBR(br.As16()) != want {
			t.Fatalf("HasBR(%v) is not %v", br, want)
		}
	}
	for _, ip := range w.ipv4 {
		if want := slices.ContainsFunc(all, func(x Softwire) bool { return x.IPv4 == ip }); s.Address(ip.As4()) != want {
			t.Fatalf("Address(%v) is not %v", ip, want)
		}
		for range 10 {
			checkLookup(t, s, all, ip, uint16(w.rng.Uint32()))
		}
	}
	if len(all) > 0 {
		x := pick(w.rng, all)
		for r := range x.PortSet.Ranges() {
			checkLookup(t, s, all, x.IPv4, r.First)
			checkLookup(t, s, all, x.IPv4, r.Last)
			break
		}
	}
}

func checkLookup(t *testing.T, s *Snapshot, all []Softwire, ip netip.Addr, port uint16) {
	t.Helper()
	i := slices.IndexFunc(all, func(x Softwire) bool { return x.IPv4 == ip && x.PortSet.Contains(port) })
	got, ok := s.Lookup(ip.As4(), port)
	if ok != (i >= 0) {
		t.Fatalf("Lookup(%v, %d) = %v, want softwire %d", ip, port, ok, i)
	}
	if !ok {
		return
	}
	slot, _ := s.Slot(all[i].Key())
	if *got.B4 != all[i].B4.As16() || *got.BR != all[i].BR.As16() || got.Slot != slot || got.Whole != all[i].PortSet.Whole() {
		t.Fatalf("Lookup(%v, %d) = %v, want %v with slot %d", ip, port, got, all[i], slot)
	}
}

// checkDiff checks that the difference of two snapshots is right and makes the
// one of the other.
func checkDiff(t *testing.T, from, to *Snapshot, before, after model) {
	t.Helper()
	var want Change
	for _, s := range before.sorted() {
		if _, stays := after[s.Key()]; !stays {
			want.Remove = append(want.Remove, s.Key())
		}
	}
	for _, s := range after.sorted() {
		if before[s.Key()] != s {
			want.Put = append(want.Put, s)
		}
	}
	got := Diff(from, to)
	if !slices.Equal(got.Remove, want.Remove) || !slices.Equal(got.Put, want.Put) {
		t.Fatalf("Diff = %v, want %v", got, want)
	}
}

// checkSlots checks that slots are distinct, bounded, kept, and not handed on
// by the batch that freed them.
func checkSlots(t *testing.T, s *Snapshot, m model, before map[Key]uint32) map[Key]uint32 {
	t.Helper()
	owners := make(map[uint32]Key)
	for k, slot := range before {
		owners[slot] = k
	}
	now := make(map[Key]uint32)
	for k := range m {
		slot, ok := s.Slot(k)
		if !ok || int(slot) >= s.Slots() {
			t.Fatalf("slot of %v: %d, %v of %d", k, slot, ok, s.Slots())
		}
		if old, was := before[k]; was && old != slot {
			t.Fatalf("%v moved from slot %d to %d", k, old, slot)
		}
		if owner, taken := owners[slot]; taken && owner != k {
			t.Fatalf("slot %d went from %v to %v at once", slot, owner, k)
		}
		owners[slot] = k
		now[k] = slot
	}
	return now
}
