package portset

import (
	"errors"
	"fmt"
	"iter"
	"math/bits"
)

// ErrParams reports a psid-offset and psid-len that do not fit in a port.
var ErrParams = errors.New("psid-offset plus psid-len must be at most 16")

// Params says how the ports of one IPv4 address are split into sets. The zero
// value leaves the address whole. Params are comparable with ==.
type Params struct {
	offset uint8 // a
	length uint8 // k
}

// NewParams returns the parameters for psid-offset a and psid-len k, both in
// bits. The error wraps ErrParams.
func NewParams(a, k uint8) (Params, error) {
	// Compared one by one first: a sum of two uint8 could wrap.
	if a > 16 || k > 16 || a+k > 16 {
		return Params{}, fmt.Errorf("psid-offset %d, psid-len %d: %w", a, k, ErrParams)
	}
	if k == 0 {
		return Params{}, nil
	}
	return Params{offset: a, length: k}, nil
}

// Offset is the psid-offset (a) in bits; 0 for a whole address.
func (p Params) Offset() uint8 { return p.offset }

// Length is the psid-len (k) in bits.
func (p Params) Length() uint8 { return p.length }

// Whole reports whether the address is not shared (k = 0).
func (p Params) Whole() bool { return p.length == 0 }

// Sets is the number of port sets that share one address: 2^k, so 1 to 65,536.
func (p Params) Sets() int { return 1 << p.length }

// shift is the number of bits right of the PSID: 16-a-k.
func (p Params) shift() uint8 { return 16 - p.offset - p.length }

// SetSize is the number of ports in each set.
func (p Params) SetSize() int {
	return p.blocks() << p.shift()
}

// blocks is the number of contiguous ranges in each set.
func (p Params) blocks() int {
	if p.offset == 0 {
		return 1
	}
	return 1<<p.offset - 1
}

// PSID returns the PSID that port belongs to. It reports false for a port in
// the excluded low block of a psid-offset greater than zero.
func (p Params) PSID(port uint16) (psid uint16, ok bool) {
	if p.length == 0 {
		return 0, true
	}
	// RFC 7597 section 5.1: for a > 0, A must be larger than 0.
	if p.offset > 0 && port>>(16-p.offset) == 0 {
		return 0, false
	}
	return port >> p.shift() & (1<<p.length - 1), true
}

// Containing yields, ascending and once each, the PSIDs whose sets hold at
// least one port of r.
func (p Params) Containing(r Range) iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		if r.First > r.Last {
			return
		}
		for psid := range p.Sets() {
			if (PortSet{params: p, psid: uint16(psid)}).OverlapsRange(r) && !yield(uint16(psid)) {
				return
			}
		}
	}
}

// String is "psid-offset/psid-len", for example "6/8".
func (p Params) String() string { return fmt.Sprintf("%d/%d", p.offset, p.length) }

// ParamsFor returns the psid-offset 0 parameters whose sets have size ports,
// which must be a power of two from 1 to 65,536. The error wraps ErrParams.
func ParamsFor(size int) (Params, error) {
	if size < 1 || size > 1<<16 || size&(size-1) != 0 {
		return Params{}, fmt.Errorf("%d ports: a set's size is a power of two from 1 to 65536: %w", size, ErrParams)
	}
	return NewParams(0, uint8(16-bits.TrailingZeros(uint(size))))
}
