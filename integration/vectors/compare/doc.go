// Package compare owns the judgement whether the packets that came out of a
// lwAFTR are those that a vector asks for: which fields count, which are set
// aside and why, and that every checksum is right.
//
// It takes packets apart by itself and shares no code with any data plane, so
// that an error there cannot hide here.
package compare
