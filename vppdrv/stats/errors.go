package stats

import "errors"

// Errors that reading wraps.
var (
	// ErrNoAnswer reports a VPP that did not give its counters in time.
	ErrNoAnswer = errors.New("VPP does not answer on its stats socket")
	// ErrBusy reports a VPP that kept changing what its counters are. Reading
	// again later helps.
	ErrBusy = errors.New("VPP keeps changing its counters")
	// ErrSegment reports counters in a form that is not understood.
	ErrSegment = errors.New("unexpected form of VPP's counters: install VPP 25.06 or later, or an lwAFTR that knows this one")
)
