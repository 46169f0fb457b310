package softwire

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestReplaceAgainstModel replaces the content by random ones, some of them
// near to the one before, and applies the difference to a second table, which
// must become equal.
func TestReplaceAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := newWorld(t, seed)
	table, follower, m := NewTable(), NewTable(), model{}
	slots := make(map[Key]uint32)
	changed := 0
	for round := range 150 {
		next := model{}
		if round%5 != 0 {
			next = maps.Clone(m)
		}
		for range 10 {
			if n, err := next.apply(w.change(next)); err == nil {
				next = n
			}
		}
		before := table.Snapshot()
		content := next.sorted()
		w.rng.Shuffle(len(content), func(i, j int) { content[i], content[j] = content[j], content[i] })
		change, err := table.Replace(slices.Values(content))
		if err != nil {
			t.Fatal(err)
		}
		checkDiff(t, before, table.Snapshot(), m, next)
		if d := Diff(before, table.Snapshot()); !slices.Equal(d.Put, change.Put) || !slices.Equal(d.Remove, change.Remove) {
			t.Fatalf("Replace returned %v, the difference is %v", change, d)
		}
		if err := follower.Apply(change); err != nil {
			t.Fatal(err)
		}
		m = next
		checkSnapshot(t, table.Snapshot(), m, w)
		checkSnapshot(t, follower.Snapshot(), m, w)
		slots = checkSlots(t, table.Snapshot(), m, slots)
		if d := Diff(table.Snapshot(), follower.Snapshot()); !d.Empty() {
			t.Fatalf("equal tables differ by %v", d)
		}
		if !change.Empty() {
			changed++
		}
		same := table.Snapshot()
		if c, err := table.Replace(same.All()); err != nil || !c.Empty() || table.Snapshot() != same {
			t.Fatalf("replacing the content by itself: %v, %v, or a new snapshot", c, err)
		}
	}
	if changed < 100 {
		t.Fatalf("only %d of the replacements changed anything", changed)
	}
}

// TestDiffRoundTrip checks that applying Diff(a, b) to a gives b, for snapshots
// that are far apart and for both directions.
func TestDiffRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := newWorld(t, seed)
	table, m := NewTable(), model{}
	snapshots := []*Snapshot{table.Snapshot()}
	for range 200 {
		c := w.change(m)
		if next, err := m.apply(c); err == nil {
			m = next
		}
		if err := table.Apply(c); err == nil {
			snapshots = append(snapshots, table.Snapshot())
		}
	}
	for range 100 {
		a, b := pick(w.rng, snapshots), pick(w.rng, snapshots)
		at := NewTable()
		if _, err := at.Replace(a.All()); err != nil {
			t.Fatal(err)
		}
		for _, from := range []*Snapshot{a, at.Snapshot()} { // sharing memory with b or none
			if d := Diff(from, b); d.Empty() != slices.Equal(slices.Collect(a.All()), slices.Collect(b.All())) {
				t.Fatalf("from %d to %d softwires: %v", a.Len(), b.Len(), d)
			}
		}
		if err := at.Apply(Diff(a, b)); err != nil {
			t.Fatal(err)
		}
		if got, want := slices.Collect(at.Snapshot().All()), slices.Collect(b.All()); !slices.Equal(got, want) {
			t.Fatalf("%d softwires after the difference, want %d", len(got), len(want))
		}
	}
	if m := len(snapshots); m < 50 {
		t.Fatalf("only %d snapshots", m)
	}
}
