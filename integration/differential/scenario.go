package differential

import (
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Scenario is all that goes into a lwAFTR in one run.
type Scenario struct {
	Seed      uint64
	Config    forwarder.Config
	Network   dataplane.Network
	Softwires []softwire.Softwire
	Batches   []Batch
}

// Batch is packets that arrive at one time.
type Batch struct {
	After   time.Duration // since the batch before
	Change  *Change       // made before the packets come, if any
	Packets []Packet
}

// Change is what an operator changes while packets are forwarded.
type Change struct {
	Config    forwarder.Config
	Softwires []softwire.Softwire // all of them
}

// Packet is a packet that comes in.
type Packet struct {
	Side dataplane.Side
	Note string // what it was made to be
	Data []byte
}

// Size is the number of packets.
func (s *Scenario) Size() int {
	n := 0
	for _, b := range s.Batches {
		n += len(b.Packets)
	}
	return n
}
