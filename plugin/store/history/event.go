package history

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Kind says what happened to a lease.
type Kind uint8

// The first two begin a Hold, and by that end the one before it on the same
// port set; the others end one. The values are part of the files.
const (
	Allocated Kind = 1 // a subscriber was given a port set
	Changed   Kind = 2 // its lwB4 or BR address became another one
	Released  Kind = 3 // the subscriber gave it back
	Expired   Kind = 4 // its lifetime ended
	Moved     Kind = 5 // the subscriber has another port set instead
	Removed   Kind = 6 // an operator took it away
)

// kinds are the names of the kinds, by value.
var kinds = [...]string{Allocated: "allocated", Changed: "changed", Released: "released", Expired: "expired", Moved: "moved", Removed: "removed"}

// String is the kind in a word.
func (k Kind) String() string {
	if !k.valid() {
		return fmt.Sprintf("kind %d", k)
	}
	return kinds[k]
}

// Begins reports whether a Hold begins with it.
func (k Kind) Begins() bool { return k == Allocated || k == Changed }

func (k Kind) valid() bool { return k >= Allocated && int(k) < len(kinds) }

// ErrEvent reports an event that the history does not take.
var ErrEvent = errors.New("unusable event")

// Event is something that happened to one lease.
type Event struct {
	// Sequence is the store's number of the event. Later events have higher
	// ones; the first is at least 1.
	Sequence uint64
	// Time is when it happened, kept to the millisecond. Time never goes back
	// from one event to the next; where it does, the history keeps the time of
	// the one before.
	Time time.Time
	Kind Kind
	Key  softwire.Key
	Holder
	// Start is when the lease began, for events that end one; the zero Time if
	// that is not known. It stands in the event log only.
	Start time.Time
	// Reason says in words why it happened; may be empty.
	Reason string
}

// Holder is who holds a port set, and how it got there.
type Holder struct {
	Subscriber netip.Prefix // the subscriber's IPv6 prefix, masked
	B4         netip.Addr   // the lwB4's IPv6 tunnel address
	BR         netip.Addr   // the BR address it tunnels to
	Pool       string
	Mechanism  pool.Mechanism
	Attributes lease.Attributes
}

// Limits of the texts of an event, in bytes.
const (
	MaxText       = 255 // Pool, Mechanism, Reason
	MaxAttributes = 1024
)

// Validate reports what the history cannot record. The error wraps ErrEvent.
func (e Event) Validate() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("event %d on %s: %w: %s", e.Sequence, e.Key, ErrEvent, fmt.Sprintf(format, args...))
	}
	switch {
	case !e.Kind.valid():
		return fail("%s is unknown", e.Kind)
	case !stampOf(e.Time).valid():
		return fail("time %s is not between 1970 and 2500", e.Time)
	case !e.Start.IsZero() && !stampOf(e.Start).valid():
		return fail("start %s is not between 1970 and 2500", e.Start)
	case !e.Key.IPv4.Is4():
		return fail("the address is not IPv4")
	case !plain6(e.Subscriber.Addr()) || e.Subscriber != e.Subscriber.Masked():
		return fail("subscriber %s is not a masked IPv6 prefix", e.Subscriber)
	case !plain6(e.B4):
		return fail("lwB4 %s is not an IPv6 address", e.B4)
	case !plain6(e.BR):
		return fail("BR %s is not an IPv6 address", e.BR)
	case max(len(e.Pool), len(e.Mechanism), len(e.Reason)) > MaxText:
		return fail("a text is longer than %d bytes", MaxText)
	case len(e.Attributes) > MaxAttributes:
		return fail("attributes are longer than %d bytes", MaxAttributes)
	}
	return nil
}

func plain6(a netip.Addr) bool { return a.Is6() && a.Zone() == "" }

// stamp is a time in milliseconds since 1970; 0 is no time.
type stamp int64

// lastStamp is beyond any valid one, in the year 2500.
const lastStamp stamp = 16_725_225_600_000

func stampOf(t time.Time) stamp {
	if t.IsZero() {
		return 0
	}
	return stamp(t.UnixMilli())
}

func (s stamp) valid() bool { return s > 0 && s < lastStamp }

// time is the zero Time for no time.
func (s stamp) time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(s)).UTC()
}
