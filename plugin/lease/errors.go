package lease

import (
	"errors"
	"fmt"
)

// Errors of a Book, for errors.Is.
var (
	// ErrExhausted: no port set is to be had. Add addresses, or wait.
	ErrExhausted = errors.New("no port set is left")
	// ErrQuota: the subscriber has as many as it may have.
	ErrQuota = errors.New("the subscriber's quota is used up")
	// ErrMechanism: the subscriber holds a lease of another mechanism, or no pool
	// allows this one.
	ErrMechanism = errors.New("the mechanism is not allowed")
	// ErrPool: there is no such pool, or its definition does not fit its leases.
	ErrPool = errors.New("unusable pool")
	// ErrTaken: the port set is somebody else's, in hold-down, or overlaps one
	// that is.
	ErrTaken = errors.New("the port set is taken")
	// ErrUnknown: there is no such lease.
	ErrUnknown = errors.New("no such lease")
	// ErrInvalid: the request is not a possible one.
	ErrInvalid = errors.New("invalid request")
)

// HeldError says that the subscriber holds a lease that came another way, which
// is to be treated as a static one (RFC 7596 section 7). It is an ErrMechanism.
type HeldError struct{ Lease Lease }

// Error names the lease.
func (e *HeldError) Error() string {
	return fmt.Sprintf("subscriber %s holds %s by %s: %v", e.Lease.Subscriber, e.Lease.Key(), e.Lease.Mechanism, ErrMechanism)
}

// Is reports whether target is ErrMechanism.
func (e *HeldError) Is(target error) bool { return target == ErrMechanism }
