package delegation

import (
	"errors"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Errors, for errors.Is.
var (
	// ErrExhausted: no pool that the client may draw from has a prefix left.
	ErrExhausted = errors.New("no prefix is left")
	// ErrQuota: the client, or its line, has as many prefixes as it may have.
	ErrQuota = errors.New("the quota of prefixes is used up")
	// ErrUnknown: the client has no such delegation.
	ErrUnknown = errors.New("no such delegation")
	// ErrInvalid: the holder is not one that can be remembered.
	ErrInvalid = errors.New("unusable holder")
)

// State is where in its life a delegation is.
type State uint8

// The states. Their numbers are in files.
const (
	Bound   State = 1 // held by its client
	Resting State = 2 // held by nobody; the client is the last holder
)

// Holder is who has a prefix.
type Holder struct {
	// Client is what a client is known by, in octets.
	Client string
	// DUID is the client's, if Client is something else: a line, at which one
	// device may take the place of another.
	DUID string
	// IAID tells apart the identity associations of one client (RFC 8415 section
	// 12.2).
	IAID uint32
	// Line is where the client is connected, such as a port of a relay agent. It may
	// be empty.
	Line string
}

// Delegation is one prefix with who holds it, or held it last. Times are whole
// seconds in UTC. Delegations are comparable with ==.
type Delegation struct {
	Prefix netip.Prefix
	Pool   string // empty for one that somebody else delegated, see Session.Adopt
	Holder
	State State
	Start time.Time // when the client got it
	// Expires is what the client was told.
	Expires time.Time
	// Horizon is not before Expires and is what counts after a restart, so that
	// renewals up to it need not be made durable.
	Horizon time.Time
	// Until is the end of the hold-down of one that rests.
	Until time.Time

	// Softwire goes with the prefix, or did last; the zero value if none did.
	Softwire softwire.Softwire
	// SoftwireExpires is when it ends at the latest that is known; zero is never.
	SoftwireExpires time.Time
	// Owing: a softwire was asked for, and has to be given back when the delegation
	// has ended.
	Owing bool
}

// Provisioned reports whether the delegation has a softwire that lasts beyond
// now.
func (d Delegation) Provisioned(now time.Time) bool {
	return d.Owing && d.Softwire.IPv4.IsValid() && (d.SoftwireExpires.IsZero() || d.SoftwireExpires.After(now))
}

// Query asks for a prefix.
type Query struct {
	Holder
	// Pools are where it may come from, in order of preference.
	Pools []string
	// Want is the prefix that would be welcome, or with an unspecified address the
	// length. A wish only.
	Want netip.Prefix
	// Renewing asks for nothing but what the client has, or what takes the place of
	// that where it is not for the client's pools any more.
	Renewing bool
}

// floor and ceil are t in whole seconds, so that all times of a delegation survive
// being stored.
func floor(t time.Time) time.Time { return time.Unix(t.Unix(), 0).UTC() }

func ceil(t time.Time) time.Time {
	whole := floor(t)
	if whole.Before(t) {
		whole = whole.Add(time.Second)
	}
	return whole
}
