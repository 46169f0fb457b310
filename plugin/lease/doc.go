// Package lease owns the decision who holds which port set. It does no I/O and
// has no clock: every operation is told what time it is, and the same operations
// at the same times have the same results.
//
// A port set that was never used becomes Bound to a subscriber, Leaving while it
// is taken out of the data plane, and then rests: until its hold-down has passed
// only its last holder may have it back, afterwards others too. The last holder
// is remembered for as long as nobody else comes, so that one who returns gets
// the same port set. Others get port sets that nobody has had, and after these
// the one that has rested the longest.
//
// A Book decides, and forgets everything when the process ends. Its caller makes
// decisions durable before anybody relies on them (package provision).
package lease
