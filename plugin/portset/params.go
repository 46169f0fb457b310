package portset

import (
	"errors"
	"fmt"
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

// ParamsFor returns the psid-offset 0 parameters whose sets have size ports,
// which must be a power of two from 1 to 65,536. The error wraps ErrParams.
func ParamsFor(size int) (Params, error) {
	if size < 1 || size > 1<<16 || size&(size-1) != 0 {
		return Params{}, fmt.Errorf("%d ports: a set's size is a power of two from 1 to 65536: %w", size, ErrParams)
	}
	return NewParams(0, uint8(16-bits.TrailingZeros(uint(size))))
}

// Offset is the psid-offset (a) in bits; 0 for a whole address.
func (p Params) Offset() uint8 { return p.offset }

// Length is the psid-len (k) in bits.
func (p Params) Length() uint8 { return p.length }

// Whole reports whether the address is not shared (k = 0).
func (p Params) Whole() bool { return p.length == 0 }

// Sets is the number of port sets that share one address: 2^k, so 1 to 65,536.
func (p Params) Sets() int { return 1 << p.length }

// SetSize is the number of ports in each set, 1 to 65,536.
func (p Params) SetSize() int { return p.blocks() << p.shift() }

// PSID returns the PSID that port belongs to. It reports false for a port in
// the excluded low block of a psid-offset greater than zero.
func (p Params) PSID(port uint16) (psid uint16, ok bool) {
	if port < p.floor() {
		return 0, false
	}
	return p.field(port), true
}

// field cuts the PSID out of port, excluded or not.
func (p Params) field(port uint16) uint16 {
	return port >> p.shift() & (1<<p.length - 1)
}

// shift is the number of bits right of the PSID: 16-a-k.
func (p Params) shift() uint8 { return 16 - p.offset - p.length }

// blocks is the number of contiguous ranges in each set.
func (p Params) blocks() int {
	if p.offset == 0 {
		return 1
	}
	return 1<<p.offset - 1
}

// floor is the lowest port that belongs to any set.
func (p Params) floor() uint16 {
	// RFC 7597 section 5.1: for a > 0, A must be larger than 0.
	if p.offset > 0 {
		return 1 << (16 - p.offset)
	}
	return 0
}
