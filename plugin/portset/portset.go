package portset

import (
	"errors"
	"fmt"
	"iter"
)

// ErrPSID reports a PSID that does not fit in psid-len bits.
var ErrPSID = errors.New("psid does not fit in psid-len bits")

// PortSet is the ports of one subscriber on one IPv4 address. The zero value
// is every port of a whole address. PortSets are comparable with ==.
type PortSet struct {
	params Params
	psid   uint16
}

// New returns the set of psid under p. The error wraps ErrPSID.
func New(p Params, psid uint16) (PortSet, error) {
	if int(psid) >= p.Sets() {
		return PortSet{}, fmt.Errorf("psid %d with psid-len %d: %w", psid, p.length, ErrPSID)
	}
	return PortSet{params: p, psid: psid}, nil
}

// Of returns the set of psid under psid-offset a and psid-len k. The error
// wraps ErrParams or ErrPSID.
func Of(a, k uint8, psid uint16) (PortSet, error) {
	p, err := NewParams(a, k)
	if err != nil {
		return PortSet{}, err
	}
	return New(p, psid)
}

// Params are the parameters the set was made with.
func (s PortSet) Params() Params { return s.params }

// PSID is the right-justified PSID.
func (s PortSet) PSID() uint16 { return s.psid }

// Whole reports whether the set is every port of an unshared address.
func (s PortSet) Whole() bool { return s.params.Whole() }

// Contains reports whether port is in the set.
func (s PortSet) Contains(port uint16) bool {
	psid, ok := s.params.PSID(port)
	return ok && psid == s.psid
}

// Count is the number of ports in the set, 0 to 65,536 (0 only for a = 16,
// which cannot share anything, see Params).
func (s PortSet) Count() int { return s.params.SetSize() }

// Range is a contiguous run of ports, both ends included.
type Range struct{ First, Last uint16 }

// String is "first-last".
func (r Range) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// Ranges yields the set's contiguous ranges in ascending order: one when
// psid-offset is 0, else 2^a - 1.
func (s PortSet) Ranges() iter.Seq[Range] {
	return func(yield func(Range) bool) {
		for i := range s.params.blocks() {
			if !yield(s.block(i)) {
				return
			}
		}
	}
}

// block is the i-th contiguous range of the set.
func (s PortSet) block(i int) Range {
	p := s.params
	if p.length == 0 {
		return Range{0, 65535}
	}
	a := uint16(i)
	if p.offset > 0 {
		a++ // A = 0 is excluded
	}
	first := s.psid << p.shift()
	if p.offset > 0 {
		first |= a << (16 - p.offset)
	}
	return Range{first, first | (1<<p.shift() - 1)}
}
