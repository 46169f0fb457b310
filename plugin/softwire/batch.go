package softwire

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// op is one change of a batch.
type op struct {
	at     locator
	b4     [16]byte
	br     uint32 // index into the batch's brs
	remove bool
}

// bit is the place of o in its block.
func (o *op) bit() uint64 { return 1 << (o.at.psid() % psidsPerBlock) }

// batch is a Change made ready to be applied: sorted, at most one op per key.
type batch struct {
	ops     []op
	brs     [][16]byte
	brIndex map[[16]byte]uint32
}

// newBatch checks what can be checked without a table. The error wraps
// ErrAddress or ErrConflict.
func newBatch(c Change) (*batch, error) {
	b := &batch{ops: make([]op, 0, len(c.Remove)+len(c.Put))}
	for _, s := range c.Put {
		if err := b.put(s); err != nil {
			return nil, err
		}
	}
	for _, k := range c.Remove {
		if at, ok := locate(k); ok {
			b.ops = append(b.ops, op{at: at, remove: true})
		}
	}
	if err := b.sort(); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *batch) put(s Softwire) error {
	if err := s.Validate(); err != nil {
		return err
	}
	at, _ := locate(s.Key())
	b.ops = append(b.ops, op{at: at, b4: s.B4.As16(), br: b.intern(s.BR.As16())})
	return nil
}

func (b *batch) intern(br [16]byte) uint32 {
	if n := len(b.ops); n > 0 && b.brs != nil && b.brs[b.ops[n-1].br] == br {
		return b.ops[n-1].br
	}
	if i, ok := b.brIndex[br]; ok {
		return i
	}
	if b.brIndex == nil {
		b.brIndex = make(map[[16]byte]uint32)
	}
	i := uint32(len(b.brs))
	b.brs = append(b.brs, br)
	b.brIndex[br] = i
	return i
}

// sort orders the ops by key. A put wins over a removal of its key, and two
// puts of one key are refused.
func (b *batch) sort() error {
	order := func(x, y op) int {
		if c := cmp.Compare(x.at, y.at); c != 0 || x.remove == y.remove {
			return c
		}
		if x.remove {
			return 1
		}
		return -1
	}
	if !slices.IsSortedFunc(b.ops, order) {
		slices.SortStableFunc(b.ops, order)
	}
	for i := 1; i < len(b.ops); i++ {
		x, y := &b.ops[i-1], &b.ops[i]
		if x.at == y.at && !y.remove {
			return fmt.Errorf("%w: %s and %s have the same key in one batch", ErrConflict, b.softwire(x), b.softwire(y))
		}
	}
	b.ops = slices.CompactFunc(b.ops, func(x, y op) bool { return x.at == y.at })
	return nil
}

// removeOthers adds the removal of every softwire of s that b does not put.
func (b *batch) removeOthers(s *Snapshot) {
	puts := b.ops
	slot{child: s.addresses}.each(func(a *address) bool {
		return a.each(func(at locator, _ *entry) bool {
			for len(puts) > 0 && puts[0].at < at {
				puts = puts[1:]
			}
			if len(puts) == 0 || puts[0].at != at {
				b.ops = append(b.ops, op{at: at, remove: true})
			}
			return true
		})
	})
	slices.SortFunc(b.ops, func(x, y op) int { return cmp.Compare(x.at, y.at) })
}

// softwire is what o puts.
func (b *batch) softwire(o *op) Softwire {
	return softwireAt(o.at, &o.b4, &b.brs[o.br])
}

func softwireAt(at locator, b4, br *[16]byte) Softwire {
	k := at.key()
	return Softwire{IPv4: k.IPv4, PortSet: k.PortSet, B4: netip.AddrFrom16(*b4), BR: netip.AddrFrom16(*br)}
}
