package dataplane

import (
	"fmt"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// State is whether a data plane forwards.
type State uint8

// The states of a data plane.
const (
	StateUnknown State = iota // never reported; the zero Health
	StateDown                 // nothing is forwarded
	StateUp                   // what is programmed is forwarded
)

// String names the state for logs and status.
func (s State) String() string {
	switch s {
	case StateUnknown:
		return "unknown"
	case StateDown:
		return "down"
	case StateUp:
		return "up"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Health is what a data plane says of itself.
type Health struct {
	State State
	// Incarnation differs from every earlier one after the data plane lost its
	// softwires or its configuration. It is zero while the data plane cannot be
	// programmed (not started, not connected), and then State is StateDown. It
	// may come back unchanged when nothing was lost. With StateDown and another
	// Incarnation than zero nothing is forwarded (a link is down, say), but
	// programming goes on.
	Incarnation uint64
	// Reason is why State is not StateUp, in words for an operator.
	Reason string
}

// Same reports whether h and o agree in what WaitHealth waits for.
func (h Health) Same(o Health) bool {
	return h.State == o.State && h.Incarnation == o.Incarnation
}

// Traffic counts packets and their bytes, measured on the IPv4 packet: without
// the tunnel header on either side.
type Traffic struct {
	Packets uint64
	Bytes   uint64
}

// Granularity says what one row of SoftwireCounters counts.
type Granularity uint8

// The granularities of SoftwireCounters.
const (
	PerNothing  Granularity = iota // there are no rows
	PerAddress                     // one row per IPv4 address; Key.PortSet is the zero PortSet
	PerSoftwire                    // one row per softwire
)

// String names the granularity for status.
func (g Granularity) String() string {
	switch g {
	case PerNothing:
		return "none"
	case PerAddress:
		return "address"
	case PerSoftwire:
		return "softwire"
	}
	return fmt.Sprintf("granularity %d", uint8(g))
}

// Counters are a data plane's totals.
type Counters struct {
	Granularity  Granularity
	Encapsulated Traffic // IPv4 to lwB4
	Decapsulated Traffic // lwB4 to IPv4
	Hairpinned   Traffic // lwB4 to lwB4; counted in neither of the above
	// Events counts packets by cause: drops, exceptions, generated errors. The
	// names are documented by the implementation and stable.
	Events []Event
}

// Event is one named counter.
type Event struct {
	Meaning string // one sentence for an operator, or empty
	Name    string // for example "drop-unbound-address"
	Drop    bool   // whether the counted packets were dropped; each packet once
	Packets uint64
}

// SoftwireCounters is the traffic of one softwire or one IPv4 address.
type SoftwireCounters struct {
	Key    softwire.Key
	ToB4   Traffic
	FromB4 Traffic
}
