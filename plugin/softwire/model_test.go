package softwire

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// model is a table that is obviously right: it compares everything with
// everything.
type model map[Key]Softwire

// apply is what Table.Apply says it does.
func (m model) apply(c Change) (model, error) {
	next := maps.Clone(m)
	for _, k := range c.Remove {
		delete(next, k)
	}
	seen := make(map[Key]bool)
	for _, s := range c.Put {
		if err := s.Validate(); err != nil {
			return m, err
		}
		if seen[s.Key()] {
			return m, fmt.Errorf("%w: %s twice", ErrConflict, s)
		}
		seen[s.Key()] = true
		next[s.Key()] = s
	}
	for _, s := range c.Put {
		for _, o := range next {
			if s.B4 == o.BR || s.BR == o.B4 {
				return m, fmt.Errorf("%w: %s and %s", ErrConflict, s, o)
			}
			if s.Key() != o.Key() && s.IPv4 == o.IPv4 && slowOverlap(s.PortSet, o.PortSet) {
				return m, fmt.Errorf("%w: %s and %s", ErrConflict, s, o)
			}
		}
	}
	return next, nil
}

// slowOverlap walks the ranges of one set.
func slowOverlap(s, o portset.PortSet) bool {
	for r := range s.Ranges() {
		for port := int(r.First); port <= int(r.Last); port++ {
			if o.Contains(uint16(port)) {
				return true
			}
		}
	}
	return false
}

func (m model) sorted() []Softwire {
	return slices.SortedFunc(maps.Values(m), func(a, b Softwire) int { return a.Key().Compare(b.Key()) })
}

// world draws softwires from few addresses, so that they meet.
type world struct {
	rng    *rand.Rand
	ipv4   []netip.Addr
	params []portset.Params
	b4s    []netip.Addr
	brs    []netip.Addr
}

func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	w := &world{rng: rand.New(rand.NewPCG(seed, 0))}
	for _, text := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.64", "192.0.3.1", "198.51.100.7", "203.0.113.255", "10.0.0.1"} {
		w.ipv4 = append(w.ipv4, netip.MustParseAddr(text))
	}
	for _, row := range []struct{ a, k uint8 }{{0, 6}, {6, 6}, {6, 8}, {0, 9}, {4, 10}, {0, 16}, {12, 4}, {0, 4}, {0, 0}, {0, 2}} {
		p, err := portset.NewParams(row.a, row.k)
		if err != nil {
			t.Fatal(err)
		}
		w.params = append(w.params, p)
	}
	for i := range 40 {
		w.b4s = append(w.b4s, netip.MustParseAddr(fmt.Sprintf("2001:db8:b4::%x", i)))
	}
	for i := range 4 {
		w.brs = append(w.brs, netip.MustParseAddr(fmt.Sprintf("2001:db8:b2::%x", i)))
	}
	w.b4s = append(w.b4s, w.brs[3]) // may be either, if not both
	return w
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// softwire draws a softwire. Each address is mostly split in a way of its own
// and sometimes in any, or hardly anything would fit beside the rest.
func (w *world) softwire() Softwire {
	i := w.rng.IntN(len(w.ipv4))
	p := w.params[i]
	if w.rng.IntN(10) == 0 {
		p = pick(w.rng, w.params)
	}
	psid := w.rng.IntN(p.Sets())
	if w.rng.IntN(2) == 0 { // often a low PSID, so that blocks fill
		psid = w.rng.IntN(min(p.Sets(), 80))
	}
	s, _ := portset.New(p, uint16(psid))
	return Softwire{IPv4: w.ipv4[i], PortSet: s, B4: pick(w.rng, w.b4s), BR: pick(w.rng, w.brs)}
}

// change draws a batch, mostly one that m accepts.
func (w *world) change(m model) Change {
	present := m.sorted()
	var c Change
	for range w.rng.IntN(3) {
		if len(present) > 0 {
			c.Remove = append(c.Remove, pick(w.rng, present).Key())
		}
		c.Remove = append(c.Remove, w.softwire().Key())
	}
	for range w.rng.IntN(12) {
		s := w.softwire()
		if len(present) > 0 && w.rng.IntN(3) == 0 { // change one that is there
			s = pick(w.rng, present)
			s.B4 = pick(w.rng, w.b4s)
		}
		with := append(slices.Clone(c.Put), s)
		if _, err := m.apply(Change{c.Remove, with}); err == nil || w.rng.IntN(15) == 0 {
			c.Put = with
		}
	}
	return c
}

// TestAgainstModel applies random batches to a table and to the model, and
// compares all that can be asked after each.
func TestAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := newWorld(t, seed)
	table, m := NewTable(), model{}
	refused, largest := 0, 0
	slots := make(map[Key]uint32)
	for range 800 {
		before := table.Snapshot()
		c := w.change(m)
		if w.rng.IntN(200) == 0 {
			c = Change{Remove: slices.Collect(maps.Keys(m))}
		}
		next, want := m.apply(c)
		err := table.Apply(c)
		if (err == nil) != (want == nil) || want != nil && !errors.Is(err, ErrConflict) {
			t.Fatalf("%+v: %v, want %v", c, err, want)
		}
		if err != nil {
			refused++
			if table.Snapshot() != before {
				t.Fatalf("a refused batch changed the table: %v", err)
			}
		}
		checkDiff(t, before, table.Snapshot(), m, next)
		if maps.Equal(m, next) != (table.Snapshot() == before) {
			t.Fatalf("%+v: a new snapshot without a change, or the reverse", c)
		}
		m = next
		checkSnapshot(t, table.Snapshot(), m, w)
		checkStructure(t, table.Snapshot())
		slots = checkSlots(t, table.Snapshot(), m, slots)
		largest = max(largest, len(m))
	}
	if refused < 5 || largest < 100 {
		t.Fatalf("%d batches refused, %d softwires at most: too few to mean anything", refused, largest)
	}
	t.Logf("%d refused, %d softwires at most", refused, largest)
}
