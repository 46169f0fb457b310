package fragment

import "errors"

// MaxFragments is the most fragments that one packet is cut into. It is what
// the largest IPv4 packet with the longest header needs at an MTU of 576, the
// size that every IPv4 host accepts; the largest IPv6 packet needs 54 at 1280.
const MaxFragments = 128

// The least MTUs that a packet can be cut to.
const (
	// MinMTU6 is the IPv6 minimum link MTU (RFC 8200 section 5).
	MinMTU6 = 1280
	// MinMTU4 is what every IPv4 module forwards without cutting it further:
	// the longest header and eight octets (RFC 791 section 3.2).
	MinMTU4 = 68
)

// Errors that the cutting functions return. None but ErrNoRoom leaves any
// fragment behind.
var (
	// ErrMalformed reports a packet whose header does not describe it.
	ErrMalformed = errors.New("packet to be cut is malformed")
	// ErrMTU reports an MTU under MinMTU4 or MinMTU6.
	ErrMTU = errors.New("MTU is under the minimum of the protocol")
	// ErrDontFragment reports an IPv4 packet with DF set. Its sender is to be
	// told the MTU (RFC 1191), or IPv4Forced to be used.
	ErrDontFragment = errors.New("packet exceeds the MTU and has DF set")
	// ErrTooMany reports a packet that would need more than MaxFragments.
	ErrTooMany = errors.New("packet needs too many fragments")
	// ErrNoRoom reports that the Arena was exhausted. What it handed out until
	// then holds fragments of a packet that is not complete.
	ErrNoRoom = errors.New("no memory left for fragments")
)

// Arena provides memory for outgoing packets.
type Arena interface {
	// Alloc returns n octets that become one packet, or nil when there are
	// none left. What room lies before them is the Arena's affair.
	Alloc(n int) []byte
}
