package reassembly

import "fmt"

// Cause is why fragments were given up.
type Cause uint8

// The causes. The first group concerns one fragment alone, the second ends a
// packet because of what its fragments say, the third for want of room or time.
const (
	// Malformed: the headers do not describe the packet.
	Malformed Cause = iota + 1
	// Empty: a fragment without data.
	Empty
	// Unaligned: not the last fragment, and no multiple of 8 octets.
	Unaligned
	// TooLong: the packet would exceed 65,535 octets.
	TooLong
	// TinyFirst: the first fragment lacks a part of the upper-layer header.
	TinyFirst
	// Duplicate: a fragment that is held already.
	Duplicate

	// Overlap: two fragments have octets of the packet in common.
	Overlap
	// Inconsistent: fragments disagree on where the packet ends.
	Inconsistent
	// TooManyFragments: more than MaxFragmentsPerPacket.
	TooManyFragments
	// MixedECN: congestion was marked on one fragment, and another one's sender
	// does not understand the mark.
	MixedECN

	// Timeout: the packet was not complete in time.
	Timeout
	// SourceLimit: a newer packet of the same source took its place.
	SourceLimit
	// DestinationLimit: a newer packet to the same destination took its place.
	DestinationLimit
	// TableFull: a newer packet took its place.
	TableFull
	// NoMemory: newer fragments took its memory, or there is too little for it.
	NoMemory

	causeEnd
)

// CauseCount is one more than the greatest Cause, for arrays indexed by it.
const CauseCount = int(causeEnd)

// String names the cause for counters; names are stable.
func (c Cause) String() string {
	switch c {
	case Malformed:
		return "malformed"
	case Empty:
		return "empty"
	case Unaligned:
		return "unaligned"
	case TooLong:
		return "too-long"
	case TinyFirst:
		return "tiny-first"
	case Duplicate:
		return "duplicate"
	case Overlap:
		return "overlap"
	case Inconsistent:
		return "inconsistent"
	case TooManyFragments:
		return "too-many-fragments"
	case MixedECN:
		return "mixed-ecn"
	case Timeout:
		return "timeout"
	case SourceLimit:
		return "source-limit"
	case DestinationLimit:
		return "destination-limit"
	case TableFull:
		return "table-full"
	case NoMemory:
		return "no-memory"
	}
	return fmt.Sprintf("cause %d", uint8(c))
}
