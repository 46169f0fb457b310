package softwire

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"
)

// TestHeapPerSoftwire holds the table to 200 bytes of heap per softwire.
func TestHeapPerSoftwire(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory is in the measurement")
	}
	if testing.Short() {
		t.Skip("-short: a million softwires take seconds")
	}
	const limit = 200 // bytes
	for _, sh := range shapes {
		t.Run(sh.name, func(t *testing.T) {
			before := heap()
			table := load(t, sh)
			n := table.Snapshot().Len()
			if n < 1000000 {
				t.Fatalf("only %d softwires", n)
			}
			each := float64(heap()-before) / float64(n)
			t.Logf("%d softwires, %.1f bytes each", n, each)
			if each > limit {
				t.Errorf("%.1f bytes of heap per softwire, want at most %d", each, limit)
			}
			// As many small batches must not leave more behind.
			churn(t, table, sh, n/10)
			each = float64(heap()-before) / float64(table.Snapshot().Len())
			t.Logf("%.1f bytes each after %d changes", each, n/10)
			if each > limit {
				t.Errorf("%.1f bytes of heap per softwire after changes, want at most %d", each, limit)
			}
			runtime.KeepAlive(table)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// churn gives n softwires, spread over the table, another lwB4 each.
func churn(t *testing.T, table *Table, sh shape, n int) {
	t.Helper()
	var c Change
	every, i := table.Snapshot().Len()/n, 0
	for s := range sh.all(t) {
		if i++; i%every != 0 {
			continue
		}
		s.B4 = subscriber(1<<22 + i)
		if c.Put = append(c.Put, s); len(c.Put) == 50 {
			if err := table.Apply(c); err != nil {
				t.Fatal(err)
			}
			c.Put = c.Put[:0]
		}
	}
}

// TestReadsDoNotAllocate covers what packets and allocation ask.
func TestReadsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const br = "2001:db8:ffff::1"
	table := NewTable()
	if err := table.Apply(Change{Put: []Softwire{
		sw(t, "192.0.2.1", "6/8/52", "2001:db8::1", br),
		sw(t, "192.0.2.1", "6/8/53", "2001:db8::1", br),
		sw(t, "192.0.2.1", "6/8/200", "2001:db8::2", br), // in another block
		sw(t, "192.0.2.2", "0/6/7", "2001:db8::2", br),
		sw(t, "192.0.2.3", "", "2001:db8::3", br),
		sw(t, "198.51.100.1", "0/1/0", "2001:db8::4", br),
		sw(t, "198.51.100.1", "0/2/2", "2001:db8::4", br), // split in two ways
	}}); err != nil {
		t.Fatal(err)
	}
	s := table.Snapshot()
	all := slices.Collect(s.All())
	found := 0
	count := func(ok bool) {
		if ok {
			found++
		}
	}
	probes := make([]Probe, 40)
	ports := []uint16{0, 80, 1232, 7168, 1240, 20000, 40000, 65535}
	for name, read := range map[string]func(){
		"Lookup": func() {
			for _, x := range all {
				for _, port := range ports {
					_, ok := s.Lookup(x.IPv4.As4(), port)
					count(ok)
				}
			}
		},
		"LookupAll": func() {
			for i := range probes {
				probes[i] = Probe{IP: all[i%len(all)].IPv4.As4(), Port: ports[i%len(ports)]}
			}
			s.LookupAll(probes)
			for i := range probes {
				count(probes[i].Found)
			}
		},
		"Get and Slot": func() {
			for _, x := range all {
				_, ok := s.Get(x.Key())
				count(ok)
				_, ok = s.Slot(x.Key())
				count(ok)
			}
		},
		"HasB4, HasBR and Address": func() {
			for _, x := range all {
				count(s.HasB4(x.B4.As16()))
				count(s.HasB4(x.BR.As16()))
				count(s.HasBR(x.BR.As16()))
				count(s.Address(x.IPv4.As4()))
			}
		},
		"ByB4": func() {
			for range s.ByB4(netip.MustParseAddr("2001:db8::1")) {
				found++
			}
		},
		"All": func() {
			for range s.All() {
				found++
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			found = 0
			if n := testing.AllocsPerRun(100, read); n != 0 {
				t.Errorf("%v allocations per run", n)
			}
			if found == 0 {
				t.Error("nothing was found, so nothing was tested")
			}
		})
	}
}
