package dataplane

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Side is one of the two networks a lwAFTR stands between.
type Side uint8

// The sides of a lwAFTR.
const (
	SideIPv4 Side = iota // the IPv4 Internet
	SideIPv6             // the IPv6 access network with the lwB4s
)

// String is "ipv4" or "ipv6".
func (s Side) String() string {
	switch s {
	case SideIPv4:
		return "ipv4"
	case SideIPv6:
		return "ipv6"
	}
	return fmt.Sprintf("side %d", uint8(s))
}

// Network is the addresses that are ours, whether or not a softwire uses them
// yet.
type Network struct {
	Pools []netip.Prefix // IPv4 prefixes whose addresses softwires use
	BRs   []netip.Addr   // BR addresses that lwB4s tunnel to
}

// OpKind says what an Op does.
type OpKind uint8

// The kinds of Op.
const (
	// Put makes the data plane forward for a softwire, replacing one of the
	// same key: from the moment of its result the lwB4 it replaced is refused.
	// It never takes ports from a softwire of another key: while one that is
	// programmed overlaps it, its outcome is not Programmed.
	Put OpKind = iota
	// Remove ends it. Only the softwire's key counts. From the moment of its
	// result no packet is forwarded for the key.
	Remove
)

// String is "put" or "remove".
func (k OpKind) String() string {
	switch k {
	case Put:
		return "put"
	case Remove:
		return "remove"
	}
	return fmt.Sprintf("op %d", uint8(k))
}

// Op is one change of what a data plane forwards.
type Op struct {
	Kind     OpKind
	Softwire softwire.Softwire
}

// Outcome is what became of one Op.
type Outcome uint8

// The outcomes of an Op.
const (
	// Programmed: the data plane forwards as the Op asked.
	Programmed Outcome = iota
	// Retryable: it does not now, and the same Op may succeed later. This is
	// also the outcome of a Put whose ports another softwire still holds, or
	// that lies outside the configured Network.
	Retryable
	// Unsupported: this incarnation of the data plane will never do it for this
	// softwire beside the others of its IPv4 address. It must not be retried
	// before one of those, or the incarnation, has changed.
	Unsupported
)

// String names the outcome for logs and status.
func (o Outcome) String() string {
	switch o {
	case Programmed:
		return "programmed"
	case Retryable:
		return "retryable"
	case Unsupported:
		return "unsupported"
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// ErrUnsupported reports a Network that a data plane can never be configured
// with.
var ErrUnsupported = errors.New("not supported by this data plane")

// Result is the outcome of one Op. Err says why it was not programmed, in
// words for an operator; it is nil when it was.
type Result struct {
	Outcome Outcome
	Err     error
}

// Exception is a packet that the data plane hands to the control logic.
type Exception struct {
	Side   Side   // where it came from
	Reason Reason // why it was diverted
	Packet []byte // whole, from the outer IP header on
}

// Reason says why a packet became an exception.
type Reason uint8

// The reasons for an exception.
const (
	// ReasonPCPSoftwire: PCP inside a softwire, 192.0.0.2 to 192.0.0.1 (or
	// another inner source of 192.0.0.0/29) UDP 5351, from any lwB4, with or
	// without a binding. The packet is the outer IPv6 one.
	ReasonPCPSoftwire Reason = iota
	// ReasonPCP: PCP to a BR address over plain IPv6.
	ReasonPCP
)

// String names the reason for logs and counters.
func (r Reason) String() string {
	switch r {
	case ReasonPCPSoftwire:
		return "pcp-softwire"
	case ReasonPCP:
		return "pcp"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}
