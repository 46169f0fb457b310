package dataplane

import (
	"context"
	"iter"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Dataplane forwards between IPv4 and IPv4-in-IPv6 for the softwires it was
// given. Its methods may be called from several goroutines, also before Run
// runs and after it ended, and each returns when its context ends. While the
// data plane cannot be reached (Health.Incarnation is zero) the methods that
// need it return an error at once; they do not wait for it to come back.
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
	// It is called before the first Apply of an incarnation and again on every
	// change. Saying the same again disturbs nothing. Softwires that the new
	// network leaves out stay programmed until they are removed, whether or not
	// packets still reach them. The error wraps ErrUnsupported when the same
	// network can never be configured; any other error may be tried again.
	Configure(ctx context.Context, network Network) error
	// Apply executes ops in order and returns one result per op, in the same
	// order. An op is executed wholly or not at all; a batch may be executed in
	// part. With an error there are no results, and the caller knows nothing
	// about any op until it reads back. The caller bounds the batch (a few
	// thousand ops) and keeps ops.
	Apply(ctx context.Context, ops []Op) ([]Result, error)
	// Softwires yields what is programmed, read back from the data plane and
	// not remembered, in no particular order, each key once. It yields only
	// what this instance may remove: never what somebody else programmed.
	// Something of ours that is no whole softwire (left by a crash, say) is
	// yielded under its key with B4 or BR unset, so that the caller puts or
	// removes it. It ends after the first error, and an unfinished read says
	// nothing of what was not yet yielded. What is applied while it reads may
	// or may not show.
	Softwires(ctx context.Context) iter.Seq2[softwire.Softwire, error]
}

// Monitor tells whether a data plane forwards.
type Monitor interface {
	// WaitHealth blocks until the health differs from known in State or
	// Incarnation and returns the new one, or the context's error. The zero
	// Health never equals a real one, so it asks for the present health. A
	// caller may miss a health that did not last, but never that the
	// incarnation changed.
	WaitHealth(ctx context.Context, known Health) (Health, error)
}

// Counter reads counters. They start at zero with each incarnation and never
// decrease within one.
type Counter interface {
	// Counters are the totals since the incarnation began.
	Counters(ctx context.Context) (Counters, error)
	// SoftwireCounters yields what is counted per softwire or per IPv4 address,
	// as Counters.Granularity says, for what is programmed. A softwire that was
	// removed and put again, or moved to another lwB4, may start at zero. Rows
	// without traffic may be left out. It ends after the first error.
	SoftwireCounters(ctx context.Context) iter.Seq2[SoftwireCounters, error]
}

// ExceptionPort passes whole packets between the control logic and the data
// plane.
type ExceptionPort interface {
	// Exceptions fills into with packets that wait, blocking for the first, and
	// returns how many. A packet belongs to the caller. The queue behind it is
	// bounded: what does not fit is dropped and counted by an Event.
	Exceptions(ctx context.Context, into []Exception) (int, error)
	// Inject sends packet, a whole IPv4 packet for SideIPv4 or IPv6 packet for
	// SideIPv6, out of that side as it is, but that a data plane may decrement
	// its TTL or hop limit once. The destination is not behind a softwire: what
	// should go to a lwB4 is injected on SideIPv6, tunnel header and all. The
	// caller keeps packet. Success means it was handed over, not delivered.
	Inject(ctx context.Context, side Side, packet []byte) error
}
