package tunnel

import (
	"sync/atomic"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/encap"
)

// Stats counts packets by what became of them, in each direction, with those
// that passed among them.
type Stats struct {
	Outbound, Inbound [encap.Verdicts]uint64
}

type counters struct {
	outbound, inbound [encap.Verdicts]atomic.Uint64
}

func (c *counters) read() (s Stats) {
	for v := range c.outbound {
		s.Outbound[v] = c.outbound[v].Load()
		s.Inbound[v] = c.inbound[v].Load()
	}
	return s
}
