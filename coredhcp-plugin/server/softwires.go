package server

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// ErrNone is an error of Softwires: there is no softwire for this subscriber now,
// and asking again soon would not help. With any other error it may.
var ErrNone = errors.New("no softwire is to be had")

// Softwires is where softwires come from.
type Softwires interface {
	// Offer returns what Acquire would grant now, and changes nothing.
	Offer(ctx context.Context, w Want) (Grant, error)
	// Acquire grants the subscriber a softwire, or extends the one that it has. It
	// returns when that is durable and programmed. When ctx ends first the subscriber
	// may or may not have one.
	Acquire(ctx context.Context, w Want) (Grant, error)
	// Release ends what Acquire granted. It returns when the softwire is out of the
	// data plane. Releasing what there is not is no error.
	Release(ctx context.Context, w Want) error
}

// Want is a softwire for one subscriber, who is known by the delegated prefix.
type Want struct {
	Prefix netip.Prefix
	// Pool is the IPv4 pool to draw from, or empty.
	Pool     string
	Lifetime time.Duration
	// Last is what the subscriber has or had last; the zero value if that is not
	// known.
	Last softwire.Softwire
	// Along says what is to become durable along with a softwire that Acquire grants,
	// and is told what became of it. Only a source that keeps its softwires in the
	// server's own store calls it, before it returns, and nobody if it is nil.
	Along func(Grant) (values []store.Value, done func(error))
	// What else is known of the client. Any may be empty.
	DUID, InterfaceID, RemoteID string
}

// Grant is a softwire that a subscriber has. The lwB4's tunnel address is the one
// of RFC 7596 section 5.1 in the delegated prefix, unless the softwire is Foreign.
type Grant struct {
	Softwire softwire.Softwire
	Expires  time.Time // zero is never
	// Foreign: it came another way than DHCPv6, and is only told.
	Foreign bool
}
