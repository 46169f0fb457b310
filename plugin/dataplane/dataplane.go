package dataplane

import (
	"context"
	"iter"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Dataplane forwards between IPv4 and IPv4-in-IPv6 for the softwires it was
// given. Its methods may be called from several goroutines while Run runs, and
// each returns when its context ends.
type Dataplane interface {
	// Name is short and constant, for logs and status ("forwarder", "vpp").
	Name() string
	// Run does the work until ctx ends, and then returns nil. An error means
	// that the data plane cannot go on without a change by the operator.
	Run(ctx context.Context) error

	Programmer
	Monitor
	Counter
	ExceptionPort
}

// Programmer changes and reads back what a data plane forwards.
type Programmer interface {
	// Configure states which networks are ours, replacing what was said before.
	// It is called before the first Apply and again on every change.
	Configure(ctx context.Context, network Network) error
	// Apply executes ops in order and returns one result per op, in the same
	// order. An op is executed wholly or not at all; a batch may be executed in
	// part. With an error there are no results, and the caller knows nothing
	// about any op until it reads back.
	Apply(ctx context.Context, ops []Op) ([]Result, error)
	// Softwires yields what is programmed, read back from the data plane and
	// not remembered, in no particular order. It ends after the first error.
	Softwires(ctx context.Context) iter.Seq2[softwire.Softwire, error]
}

// Monitor tells whether a data plane forwards.
type Monitor interface {
	// WaitHealth blocks until the health differs from known in State or
	// Incarnation and returns the new one, or the context's error. The zero
	// Health never equals a real one, so it asks for the present health.
	WaitHealth(ctx context.Context, known Health) (Health, error)
}

// Counter reads counters. They never decrease within one incarnation.
type Counter interface {
	Counters(ctx context.Context) (Counters, error)
	// SoftwireCounters yields what is counted per softwire or per IPv4 address,
	// as Counters.Granularity says. It ends after the first error.
	SoftwireCounters(ctx context.Context) iter.Seq2[SoftwireCounters, error]
}

// ExceptionPort passes whole packets between the control logic and the data
// plane.
type ExceptionPort interface {
	// Exceptions fills into with packets that wait, blocking for the first, and
	// returns how many. A packet belongs to the caller. The queue behind it is
	// bounded: what does not fit is dropped and counted.
	Exceptions(ctx context.Context, into []Exception) (int, error)
	// Inject sends packet, a whole IPv4 packet for SideIPv4 or IPv6 packet for
	// SideIPv6, out of that side as it is. The caller keeps packet.
	Inject(ctx context.Context, side Side, packet []byte) error
}
