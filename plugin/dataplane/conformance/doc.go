// Package conformance owns the suite that every data plane passes: packets go
// into its real interfaces and must come out as RFC 7596 and the contract of
// package dataplane say. The cases are written from those texts and know no
// implementation.
//
// A data plane's tests call Run with a factory for a Rig around it. A case that
// the data plane cannot do is declared in Rig.Unsupported with the reason, and
// is skipped by name; cases of what a lwAFTR must refuse cannot be waived.
//
// Silence is never taken on trust. After each input the suite sends markers
// that must be forwarded, one through each side, so that whatever the input
// caused has come out before them; and where a packet must be dropped, a drop
// must have been counted. MustFail turns the suite on a data plane whose check
// was taken out, and demands that exactly the cases about that check notice.
package conformance
