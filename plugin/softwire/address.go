package softwire

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// entry is what one softwire adds to its key. It holds no pointers, so that the
// garbage collector does not look at a million of them.
type entry struct {
	b4   [16]byte
	br   uint32 // index into the snapshot's brSet
	slot uint32
}

// psidsPerBlock is how many consecutive PSIDs share a block.
const psidsPerBlock = 64

// block is the softwires of up to 64 consecutive PSIDs of one IPv4 address.
type block struct {
	ip      uint32
	params  portset.Params
	base    uint16  // PSID / 64, the same for all
	bits    uint64  // which of the 64 are bound
	entries []entry // one per bit, ascending
}

// address is the softwires of one IPv4 address: the leaf of the table's trie.
// Nearly every address needs a single block, which is here and saves a step.
type address struct {
	block
	crowd *crowd   // all blocks, if there are several; then block has only ip
	room  [1]entry // of a block with a single entry, in reach without a step
}

// crowd is the blocks of an address whose PSIDs are longer than six bits, or
// which is split in several ways.
type crowd struct {
	params []portset.Params // each one in blocks, once
	blocks []block          // ascending by params and base
}

// entry is the entry of psid, nil if it is not bound or not in this block.
func (b *block) entry(psid uint16) *entry {
	bit := uint64(1) << (psid % psidsPerBlock)
	if b.bits&bit == 0 || b.base != psid/psidsPerBlock {
		return nil
	}
	return &b.entries[rank(b.bits, bit)]
}

// each calls visit with the softwires in order until it returns false.
func (b *block) each(visit func(locator, *entry) bool) bool {
	i := 0
	for left := b.bits; left != 0; left &= left - 1 {
		psid := b.base*psidsPerBlock + uint16(bits.TrailingZeros64(left))
		if !visit(newLocator(b.ip, b.params, psid), &b.entries[i]) {
			return false
		}
		i++
	}
	return true
}

// same reports whether b and o are the same memory, so that they are equal
// without a look at the entries.
func (b *block) same(o *block) bool {
	return b.bits == o.bits && b.params == o.params && b.base == o.base && &b.entries[0] == &o.entries[0]
}

// list returns all blocks, in room if there is only one.
func (a *address) list(room *[1]block) []block {
	if a.crowd != nil {
		return a.crowd.blocks
	}
	room[0] = a.block
	return room[:]
}

// newAddress returns the address of ip with blocks, at least one, which it
// keeps a copy of.
func newAddress(ip uint32, blocks []block) *address {
	if len(blocks) == 1 {
		a := &address{block: blocks[0]}
		if len(a.entries) == 1 {
			a.room[0] = a.entries[0]
			a.entries = a.room[:]
		}
		return a
	}
	c := &crowd{blocks: slices.Clone(blocks)}
	for i := range blocks {
		if p := blocks[i].params; i == 0 || p != blocks[i-1].params {
			c.params = append(c.params, p)
		}
	}
	return &address{block: block{ip: ip}, crowd: c}
}

// each calls visit with the softwires in order until it returns false.
func (a *address) each(visit func(locator, *entry) bool) bool {
	var room [1]block
	blocks := a.list(&room)
	for i := range blocks {
		if !blocks[i].each(visit) {
			return false
		}
	}
	return true
}

// eachFrom is each without the softwires before l, which is on this address.
func (a *address) eachFrom(l locator, visit func(locator, *entry) bool) bool {
	var room [1]block
	blocks := a.list(&room)
	i, _ := slices.BinarySearchFunc(blocks, block{params: l.params(), base: l.psid() / psidsPerBlock}, compareBlocks)
	for ; i < len(blocks); i++ {
		// Only the first block can begin before l.
		if !blocks[i].each(func(at locator, e *entry) bool { return at < l || visit(at, e) }) {
			return false
		}
	}
	return true
}

// entry is the entry of the softwire at l, which is on this address.
func (a *address) entry(l locator) *entry {
	if a.crowd == nil {
		if a.params != l.params() {
			return nil
		}
		return a.block.entry(l.psid())
	}
	return a.crowd.entry(l.params(), l.psid())
}

func (c *crowd) entry(p portset.Params, psid uint16) *entry {
	base := psid / psidsPerBlock
	i, found := int(base), false
	// With one kind of set and all of it in use the place is known.
	if i >= len(c.blocks) || c.blocks[i].base != base || c.blocks[i].params != p {
		i, found = slices.BinarySearchFunc(c.blocks, block{params: p, base: base}, compareBlocks)
		if !found {
			return nil
		}
	}
	return c.blocks[i].entry(psid)
}

// compareBlocks orders the blocks of an address.
func compareBlocks(b, o block) int {
	return cmp.Or(
		cmp.Compare(b.params.Offset(), o.params.Offset()),
		cmp.Compare(b.params.Length(), o.params.Length()),
		cmp.Compare(b.base, o.base),
	)
}

// holder is the entry that port belongs to, with the parameters of its set. At
// most one does: sets on one address do not overlap.
func (c *crowd) holder(port uint16) (*entry, portset.Params) {
	for _, p := range c.params {
		if psid, ok := p.PSID(port); ok {
			if e := c.entry(p, psid); e != nil {
				return e, p
			}
		}
	}
	return nil, portset.Params{}
}
