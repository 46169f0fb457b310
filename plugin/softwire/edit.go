package softwire

import (
	"fmt"
	"math/bits"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// edit applies one batch to a snapshot. Nothing that others can see changes
// before it is committed, so a batch that is refused is simply dropped.
type edit struct {
	batch     *batch
	next      *Snapshot // what the batch makes of the snapshot, our own until commit
	addresses trieEdit
	links     linkEdit
	brs       brEdit
	brOf      []uint32 // index in brs of each of the batch's BR addresses
	slots     slotEdit
}

// apply executes the batch. The error wraps ErrConflict.
func (e *edit) apply() error {
	for _, br := range e.batch.brs {
		e.brOf = append(e.brOf, e.brs.intern(br))
	}
	e.next.brs = e.brs.preview()
	var blocks []block
	ops := e.batch.ops
	for len(ops) > 0 {
		n := 1
		for n < len(ops) && ops[n].at.ip() == ops[0].at.ip() {
			n++
		}
		var err error
		if blocks, err = e.address(blocks[:0], ops[:n]); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return e.checkRoles()
}

// address executes the ops, all of one address, in room for its new blocks.
func (e *edit) address(room []block, ops []op) ([]block, error) {
	ip := ops[0].at.ip()
	var one [1]block
	var old []block
	if a := e.next.addresses.find(ip); a != nil {
		old = a.list(&one)
	}
	blocks, changed := e.merge(room, old, ops)
	if !changed {
		return blocks, nil
	}
	if len(blocks) == 0 {
		e.next.addresses = e.addresses.remove(e.next.addresses, ip)
		return blocks, nil
	}
	if err := e.checkOverlap(blocks, ops); err != nil {
		return blocks, err
	}
	e.next.addresses = e.addresses.put(e.next.addresses, newAddress(ip, blocks))
	return blocks, nil
}

// merge appends to blocks what the ops make of the old ones, both in order.
func (e *edit) merge(blocks, old []block, ops []op) (merged []block, changed bool) {
	for len(old) > 0 || len(ops) > 0 {
		if len(ops) == 0 {
			return append(blocks, old...), changed
		}
		at := ops[0].at
		b := block{ip: at.ip(), params: at.params(), base: at.psid() / psidsPerBlock}
		if len(old) > 0 {
			switch order := compareBlocks(old[0], b); {
			case order < 0:
				blocks, old = append(blocks, old[0]), old[1:]
				continue
			case order == 0:
				b, old = old[0], old[1:]
			}
		}
		n := 1
		for n < len(ops) && ops[n].at/psidsPerBlock == at/psidsPerBlock {
			n++
		}
		if e.block(&b, ops[:n]) {
			changed = true
		}
		if b.bits != 0 {
			blocks = append(blocks, b)
		}
		ops = ops[n:]
	}
	return blocks, changed
}

// block executes the ops, all of one block, and reports whether they changed
// anything. The entries of b are replaced, not written to.
func (e *edit) block(b *block, ops []op) (changed bool) {
	next := b.bits
	for i := range ops {
		o := &ops[i]
		old := b.entry(o.at.psid())
		if o.remove {
			next &^= o.bit()
			changed = changed || old != nil
		} else {
			next |= o.bit()
			changed = changed || old == nil || e.differs(o, old)
		}
	}
	if !changed {
		return false
	}
	entries := make([]entry, 0, bits.OnesCount64(next))
	done := 0 // how many of the old entries are dealt with
	for i := range ops {
		o := &ops[i]
		old := b.entry(o.at.psid())
		place := rank(b.bits, o.bit())
		entries = append(entries, b.entries[done:place]...)
		done = place
		if old != nil {
			done++
		}
		if !o.remove {
			entries = append(entries, e.put(o, old))
		} else if old != nil {
			e.drop(o.at, old)
		}
	}
	b.bits, b.entries = next, append(entries, b.entries[done:]...)
	return true
}

// differs reports whether o, a put, changes the old entry of its key.
func (e *edit) differs(o *op, old *entry) bool {
	return old.b4 != o.b4 || old.br != e.brOf[o.br]
}

// put is what o makes of the old entry of its key, which may be nil.
func (e *edit) put(o *op, old *entry) entry {
	next := entry{b4: o.b4, br: e.brOf[o.br]}
	switch {
	case old == nil:
		next.slot = e.slots.take()
		e.next.count++
	case !e.differs(o, old):
		return *old
	default:
		next.slot = old.slot
		e.unlink(o.at, old)
	}
	e.next.links = e.links.put(e.next.links, newLink(e.next.seed, &next.b4, o.at), 0)
	e.brs.use(next.br, 1)
	return next
}

// drop gives back what the softwire at l had.
func (e *edit) drop(at locator, old *entry) {
	e.slots.give(old.slot)
	e.next.count--
	e.unlink(at, old)
}

func (e *edit) unlink(at locator, old *entry) {
	e.next.links = e.links.remove(e.next.links, newLink(e.next.seed, &old.b4, at), 0)
	e.brs.use(old.br, -1)
}

// checkOverlap refuses a softwire that was put on an address and shares ports
// with another one there. Sets of equal parameters cannot.
func (e *edit) checkOverlap(blocks []block, ops []op) error {
	if blocks[0].params == blocks[len(blocks)-1].params {
		return nil
	}
	for i := range ops {
		o := &ops[i]
		if o.remove {
			continue
		}
		set := setOf(o.at.params(), o.at.psid())
		for j := range blocks {
			b := &blocks[j]
			if b.params == set.Params() {
				continue
			}
			if at, other := b.overlapping(set); other != nil {
				return fmt.Errorf("%w: the port sets of %s and %s overlap", ErrConflict,
					e.batch.softwire(o), e.next.softwire(at, other))
			}
		}
	}
	return nil
}

// overlapping returns the first softwire of b that shares ports with set.
func (b *block) overlapping(set portset.PortSet) (at locator, found *entry) {
	b.each(func(l locator, e *entry) bool {
		if setOf(b.params, l.psid()).Overlaps(set) {
			at, found = l, e
		}
		return found == nil
	})
	return at, found
}

// checkRoles refuses a lwB4 address that is a BR address, in the whole table:
// packets between the two could not be told apart.
func (e *edit) checkRoles() error {
	for i := range e.batch.ops {
		if o := &e.batch.ops[i]; !o.remove && e.brs.used(o.b4) {
			return e.roleConflict(o.b4)
		}
	}
	for br := range e.brs.added {
		if e.next.HasB4(br) {
			return e.roleConflict(br)
		}
	}
	return nil
}

// roleConflict names a softwire that has ip as its lwB4 and one that has it as
// its BR address. It may look at the whole table, which only a refusal costs.
func (e *edit) roleConflict(ip [16]byte) error {
	var asB4, asBR Softwire
	for s := range e.next.All() {
		if !asB4.IPv4.IsValid() && s.B4.As16() == ip {
			asB4 = s
		}
		if !asBR.IPv4.IsValid() && s.BR.As16() == ip {
			asBR = s
		}
		if asB4.IPv4.IsValid() && asBR.IPv4.IsValid() {
			break
		}
	}
	return fmt.Errorf("%w: the lwB4 address of %s is the BR address of %s", ErrConflict, asB4, asBR)
}
