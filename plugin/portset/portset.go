package portset

import (
	"errors"
	"fmt"
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

// Count is the number of ports in the set, 1 to 65,536.
func (s PortSet) Count() int { return s.params.SetSize() }

// Contains reports whether port is in the set.
func (s PortSet) Contains(port uint16) bool {
	psid, ok := s.params.PSID(port)
	return ok && psid == s.psid
}

// Overlaps reports whether any port is in both sets, whatever their parameters.
func (s PortSet) Overlaps(o PortSet) bool {
	// A set is the ports with some bits fixed, from a floor up. Two sets that
	// agree on the bits they both fix share a port exactly if the highest one
	// that both patterns allow, all free bits set, reaches the higher floor.
	sBits, oBits := s.pattern(), o.pattern()
	if (sBits.value^oBits.value)&sBits.mask&oBits.mask != 0 {
		return false
	}
	highest := sBits.value | oBits.value | ^(sBits.mask | oBits.mask)
	return highest >= max(s.params.floor(), o.params.floor())
}

// pattern is the port bits that a PSID fixes.
type pattern struct{ mask, value uint16 }

func (s PortSet) pattern() pattern {
	shift := s.params.shift()
	return pattern{mask: (1<<s.params.length - 1) << shift, value: s.psid << shift}
}
