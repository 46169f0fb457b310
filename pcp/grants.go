package pcp

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Grants is where port sets come from.
type Grants interface {
	// Held returns what the subscriber of a lwB4 holds now, by any mechanism.
	Held(lwb4 netip.Addr) []Binding
	// Extend is Acquire for a port set that is Held, without any waiting. It is not
	// ok if anything would have to become durable or programmed.
	Extend(want Want) (b Binding, ok bool)
	// Acquire gives the subscriber of a lwB4 a port set, or extends the one that it
	// has by that number. It returns when it is durable and programmed. The error
	// wraps one of those below.
	Acquire(ctx context.Context, want Want) (Binding, error)
	// Release ends a binding. It returns when it is no longer programmed. Ending
	// what there is not is no error.
	Release(ctx context.Context, lwb4 netip.Addr, number uint8) error
}

// Want is a port set that a lwB4 asks for.
type Want struct {
	LwB4 netip.Addr
	// Number tells apart the port sets of one subscriber, from 0.
	Number uint8
	// Held is the port set of that number, if the subscriber has it.
	Held  *Binding
	Nonce pcpmsg.Nonce
	// Within are the ports that the set has to be among, unless a whole address is
	// asked for.
	Within portset.Range
	Whole  bool
	// Suggested is a wish: the address, and a port of the set.
	Suggested netip.AddrPort
	// Only refuses, with ErrSuggestion, everything but the suggested.
	Only     bool
	Lifetime time.Duration
	// Description is what the client says of it, or has said before.
	Description string
	// Contact is to be kept with the binding. It changes often, and may be durable
	// some time later, or never.
	Contact string
}

// Binding is a port set of a lwB4.
type Binding struct {
	Number  uint8
	LwB4    netip.Addr // its tunnel address
	IPv4    netip.Addr
	PortSet portset.PortSet
	// Static says that it came another way than PCP: it is told, and neither
	// changed nor deleted (RFC 6887 section 15.1).
	Static bool
	// Nonce is that of the last request that was granted, if Known.
	Nonce   pcpmsg.Nonce
	Known   bool
	Expires time.Time // zero is never
	// Description and Contact are those of that request.
	Description string
	Contact     string
}

// The errors of Grants.
var (
	ErrExhausted   = errors.New("no port set is left")
	ErrRange       = errors.New("no port set lies in the range that was asked for")
	ErrQuota       = errors.New("the subscriber has as many port sets as it may have")
	ErrNotLent     = errors.New("no pool lends by PCP what was asked for")
	ErrSuggestion  = errors.New("the suggested address and port are not to be had")
	ErrLwB4        = errors.New("not an address that a lwB4 may have")
	ErrUnavailable = errors.New("port sets cannot be granted now")
)
