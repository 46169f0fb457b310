package portset

import "fmt"

// String is "psid-offset/psid-len/psid", for example "6/8/52".
func (s PortSet) String() string {
	return fmt.Sprintf("%d/%d/%d", s.params.offset, s.params.length, s.psid)
}

// OverlapsRange reports whether any port of r is in s.
func (s PortSet) OverlapsRange(r Range) bool {
	for b := range s.Ranges() {
		if b.First <= r.Last && r.First <= b.Last {
			return true
		}
	}
	return false
}
