package reference

import (
	"fmt"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Packet is a packet that is sent, and what of it is anybody's choice.
type Packet struct {
	Side  dataplane.Side
	Bytes []byte
	// Origin is the offset of an IPv4 header whose identification is free,
	// because the lwAFTR made the packet; -1 if there is none.
	Origin int
	// Cut numbers the packet that this one is a fragment of, from 1; zero is no
	// fragment. The IPv6 fragment identification is free, but the same in all
	// fragments of one packet and in no others.
	Cut int
	// Flow names the flow that an IPv6 flow label stands for (RFC 6438).
	Flow string
}

// Verdict is what becomes of one packet, and why.
type Verdict struct {
	Sent       []Packet
	Events     []forwarder.Event
	Exceptions []dataplane.Exception

	Encapsulated, Decapsulated, Hairpinned dataplane.Traffic
	ToB4, FromB4                           map[softwire.Key]dataplane.Traffic

	Reasons []string // the rules that were applied, in order
}

func (v *Verdict) say(format string, args ...any) {
	v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
}

// count notes an event that is no drop, or a drop that needs no words.
func (v *Verdict) count(e forwarder.Event) { v.Events = append(v.Events, e) }

// drop notes why a packet goes no further.
func (v *Verdict) drop(e forwarder.Event, format string, args ...any) {
	v.count(e)
	v.say("%s: %s", e, fmt.Sprintf(format, args...))
}

func tally(in map[softwire.Key]dataplane.Traffic, k softwire.Key, octets int) {
	t := in[k]
	add(&t, octets)
	in[k] = t
}

func add(t *dataplane.Traffic, octets int) {
	t.Packets++
	t.Bytes += uint64(octets)
}
