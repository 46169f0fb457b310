// Package portset owns port-set arithmetic: which transport ports belong to
// which subscriber of a shared IPv4 address (RFC 7597 section 5.1).
//
// A 16-bit port is read as three fields, most significant first:
//
//	 a bits    k bits    m = 16-a-k bits
//	+--------+---------+---------+
//	|   A    |  PSID   |    j    |
//	+--------+---------+---------+
//
// a is the psid-offset, k the psid-len. With a > 0 ports whose A is zero belong
// to nobody, which keeps the system ports out of every set. With a = 0 a set is
// one contiguous block (RFC 7596 section 5.1 recommends it). With k = 0 the
// address is not shared: the PSID is to be ignored (RFC 7598 section 4.5), so
// the one set holds all 65,536 ports whatever a says, and a is kept as zero so
// that equal sets are equal values.
//
// PSIDs are right-justified here and everywhere else but in wire codecs. As text
// a set is psid-offset/psid-len/psid, such as 6/8/52.
package portset
