package lease

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// State is where in its life a lease is.
type State uint8

// The states.
const (
	Bound   State = 1 + iota // held by its subscriber
	Leaving                  // no longer granted, and not yet out of the data plane
	Resting                  // held by nobody; its subscriber is the last holder
)

// String is the state's name in lower case.
func (s State) String() string {
	switch s {
	case Bound:
		return "bound"
	case Leaving:
		return "leaving"
	case Resting:
		return "resting"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Lease is one port set with who holds it, or held it last. Times are whole
// seconds. Leases are comparable with ==.
type Lease struct {
	// Softwire has a zero B4 if the port set is reserved for a subscriber who has
	// not asked for it yet.
	Softwire   softwire.Softwire
	Subscriber netip.Prefix
	// Number tells apart the leases of one subscriber, from 0.
	Number    uint8
	Pool      string
	Mechanism pool.Mechanism
	State     State

	// Reserved: others never get it.
	Reserved bool
	// Moved: the subscriber has another lease in place of this one, and keeps
	// this one until it knows.
	Moved bool
	// Configured: it stands in the configuration, and is not to be made durable.
	Configured bool

	Start time.Time // when the subscriber got it
	// Expires is what the subscriber was told; zero is never.
	Expires time.Time
	// Horizon is not before Expires and is what counts after a restart, so that
	// renewals up to it need not be made durable; zero is never.
	Horizon time.Time
	// Until is the end of the hold-down of a lease that rests.
	Until time.Time

	Attributes Attributes
}

// Key identifies the lease: a port set has one at most.
func (l Lease) Key() softwire.Key { return l.Softwire.Key() }

// Held reports whether the lease is in hold-down.
func (l Lease) Held(now time.Time) bool { return l.State == Resting && now.Before(l.Until) }

// Expired reports whether the lease has lasted as long as the subscriber was told.
func (l Lease) Expired(now time.Time) bool { return !l.Expires.IsZero() && !l.Expires.After(now) }

// Request asks for a lease.
type Request struct {
	// Subscriber is any address of the subscriber; B4 or that of Prefix if unset.
	Subscriber netip.Addr
	// B4 is the lwB4's tunnel address. With Prefix it is the one that a lwB4 makes
	// there for the port set that it gets (RFC 7596 section 5.1), and B4 does not
	// count. Offer, Reserve and Move need neither.
	B4        netip.Addr
	Prefix    netip.Prefix
	Mechanism pool.Mechanism
	// Number is which of the subscriber's leases this is, from 0, below the
	// pool's quota. Asking again with the same number gets the same lease.
	Number uint8
	// Pool is the name of the pool to draw from, or empty.
	Pool string
	// Ports is how many ports are wanted. Without Pool and Ports the size of the
	// first pool that allows the mechanism is meant.
	Ports int
	// Want is the port set that is preferred, or with a zero PortSet and Ports
	// other than 65536 the address. A wish only.
	Want softwire.Key
	// Within are the ports that a port set to be chosen has to be among; the zero
	// value is all. The search for one that was used before is not exhaustive.
	Within portset.Range
	// Lifetime is clamped to what the pool allows; 0 asks for its default. With
	// mechanism static a lease never expires.
	Lifetime   time.Duration
	Attributes Attributes
}
