package encap

// ECN codepoints (RFC 3168 section 5), the low bits of the traffic class.
const (
	notECT  = 0
	ect1    = 1
	ect0    = 2
	ce      = 3
	ecnMask = 3
)

// decapsulatedECN is the ECN field of a packet after decapsulation. It reports
// false for a packet that is to be dropped.
func decapsulatedECN(inner, outer uint8) (uint8, bool) {
	// RFC 6040 section 4.2, figure 4.
	switch {
	case outer == ce && inner == notECT:
		return 0, false
	case outer == ce:
		return ce, true
	case outer == ect1 && inner == ect0:
		return ect1, true
	}
	return inner, true
}
