package reassembly

// ECN codepoints (RFC 3168 section 5). A set of them has a bit for each.
const (
	ecnNotECT = 0
	ecnCE     = 3
	ecnMask   = 3
)

// congested reports whether the packet whose fragments have the codepoints of
// seen is to be marked. It reports false for ok where it can be neither marked
// nor left unmarked.
func congested(seen uint8) (mark, ok bool) {
	// RFC 3168 section 5.3: CE on any fragment must not be lost, and must not
	// be set where another fragment is Not-ECT; the packet is then dropped.
	mark = seen&(1<<ecnCE) != 0
	return mark, !mark || seen&(1<<ecnNotECT) == 0
}
