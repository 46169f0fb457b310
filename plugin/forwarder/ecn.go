package forwarder

// ECN codepoints, the two lowest bits of a traffic class (RFC 3168 section 5).
const (
	ecnNotECT = 0
	ecnECT1   = 1
	ecnECT0   = 2
	ecnCE     = 3
	ecnMask   = 3
)

// decapECN is the traffic class of a packet that leaves a tunnel: the inner
// one's DSCP, and the ECN of RFC 6040 section 4.2, figure 4. It reports false
// where that figure says drop.
func decapECN(inner, outer uint8) (tos uint8, ok bool) {
	in, out := inner&ecnMask, outer&ecnMask
	switch {
	case out == ecnNotECT || in == ecnCE:
		return inner, true
	case in == ecnNotECT:
		return inner, out != ecnCE
	case out == ecnCE:
		return inner | ecnCE, true
	case out == ecnECT1:
		return inner&^ecnMask | ecnECT1, true
	}
	return inner, true
}
