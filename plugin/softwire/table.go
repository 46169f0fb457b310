package softwire

import (
	"hash/maphash"
	"iter"
	"sync"
	"sync/atomic"
)

// Change is a batch of changes to a table. Removing a key that is not there is
// no error. Put replaces the softwire of the same key, also one that Remove
// names.
type Change struct {
	Remove []Key
	Put    []Softwire
}

// Empty reports whether c changes nothing.
func (c Change) Empty() bool { return len(c.Remove) == 0 && len(c.Put) == 0 }

// Table is a binding table. At any moment
//
//   - the port sets on one IPv4 address do not overlap, also such of different
//     parameters, so that a port has at most one softwire;
//   - no lwB4 address is a BR address.
//
// One lwB4 may hold any number of softwires. Methods may be called from any
// goroutine; writers wait for each other, and readers for nobody.
type Table struct {
	snapshot atomic.Pointer[Snapshot]

	write struct {
		sync.Mutex
		epoch     uint64 // of the last edit, in effect or not
		freeSlots []uint32
		brRefs    []int
		freeBRs   []uint32
	}
}

// NewTable returns an empty table.
func NewTable() *Table {
	t := &Table{}
	t.snapshot.Store(&Snapshot{brs: &brSet{}, seed: maphash.MakeSeed()})
	return t
}

// Snapshot returns the present content.
func (t *Table) Snapshot() *Snapshot { return t.snapshot.Load() }

// Apply executes c wholly or, with an error, not at all. It takes time in
// proportion to c, not to the table. The error wraps ErrAddress or ErrConflict,
// and names both softwires of a conflict.
func (t *Table) Apply(c Change) error {
	b, err := newBatch(c)
	if err != nil {
		return err
	}
	t.write.Lock()
	defer t.write.Unlock()
	return t.apply(b)
}

// Replace makes all the whole content, in one batch, and returns what that
// changed. What stays equal is neither copied nor given another slot. Errors
// are those of Apply; all may use the table's snapshots, but not change it.
func (t *Table) Replace(all iter.Seq[Softwire]) (Change, error) {
	b := &batch{}
	for s := range all {
		if err := b.put(s); err != nil {
			return Change{}, err
		}
	}
	if err := b.sort(); err != nil {
		return Change{}, err
	}
	t.write.Lock()
	defer t.write.Unlock()
	before := t.Snapshot()
	b.removeOthers(before)
	if err := t.apply(b); err != nil {
		return Change{}, err
	}
	return Diff(before, t.Snapshot()), nil
}

// apply executes b. The caller holds the write lock.
func (t *Table) apply(b *batch) error {
	w := &t.write
	before := t.Snapshot()
	next := *before
	w.epoch++
	e := &edit{
		batch:     b,
		next:      &next,
		addresses: trieEdit{w.epoch},
		links:     linkEdit{w.epoch},
		brs:       brEdit{base: before.brs, refs: w.brRefs, free: w.freeBRs},
		slots:     slotEdit{free: w.freeSlots, bound: uint32(before.slots)},
	}
	if err := e.apply(); err != nil {
		return err
	}
	if e.next.addresses == before.addresses {
		return nil
	}
	e.next.brs, w.brRefs, w.freeBRs = e.brs.commit()
	e.next.slots = int(e.slots.bound)
	w.freeSlots = append(e.slots.free, e.slots.freed...)
	t.snapshot.Store(&next)
	return nil
}
