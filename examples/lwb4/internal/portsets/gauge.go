package portsets

import (
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// Gauge decides when port sets are too few or too many. A set that is too many is
// first drained: no new connections get a port of it. When the last one has ended
// it is given back. One of several that is nearly full is left alone, too, since a
// connection that is sent to it may find no port.
type Gauge struct {
	MoreAt float64       // part of the ports that may be in use
	Idle   time.Duration // how long a set must not be needed

	draining  *portset.PortSet
	full      []portset.PortSet
	needless  time.Time // since when there are too many; zero is not
	exhausted uint64
}

// Reading is how much is in use at a time.
type Reading struct {
	Ports     assign.Ports
	Used      []int  // ports in use, by set
	Exhausted uint64 // connections that there was no port for, so far
}

// Advice is what to do.
type Advice struct {
	More     bool             // ask for another port set
	GiveBack *portset.PortSet // a set that nothing uses
	Changed  bool             // Closed has
}

// Closed is the sets that get no new connections.
func (g *Gauge) Closed() []portset.PortSet {
	if g.draining == nil {
		return g.full
	}
	return append(slices.Clone(g.full), *g.draining)
}

// Observe takes note of a reading.
func (g *Gauge) Observe(now time.Time, r Reading) Advice {
	before := g.Closed()
	g.fill(r)
	a := g.observe(now, r)
	a.Changed = !slices.Equal(before, g.Closed())
	return a
}

// Parts of a set in use from which on it is nearly full, and below which it is not
// any more.
const (
	fullAt    = 0.9
	notFullAt = 0.7
)

// fill finds the sets that are nearly full. If all are none is left alone.
func (g *Gauge) fill(r Reading) {
	var full []portset.PortSet
	for i, set := range r.Ports.Sets {
		limit := fullAt
		if slices.Contains(g.full, set) {
			limit = notFullAt
		}
		if float64(r.Used[i]) >= limit*float64(set.Count()) {
			full = append(full, set)
		}
	}
	if len(full) >= len(r.Ports.Sets) {
		full = nil
	}
	g.full = full
}

func (g *Gauge) observe(now time.Time, r Reading) (a Advice) {
	short := r.Exhausted > g.exhausted
	g.exhausted = r.Exhausted
	if g.draining != nil && !slices.Contains(r.Ports.Sets, *g.draining) {
		g.draining = nil
	}
	used, count, drained := 0, 0, 0
	for i, set := range r.Ports.Sets {
		if g.draining != nil && set == *g.draining {
			drained = r.Used[i]
			continue
		}
		used += r.Used[i]
		count += set.Count()
	}
	switch {
	case count == 0:
	case short || float64(used) >= g.MoreAt*float64(count):
		g.needless = time.Time{}
		if g.draining != nil {
			g.draining = nil
			return a
		}
		a.More = true
	case g.draining != nil:
		if drained == 0 {
			a.GiveBack = g.draining
		}
	case !g.tooMany(r, used, count):
		g.needless = time.Time{}
	case g.needless.IsZero():
		g.needless = now
	case now.Sub(g.needless) >= g.Idle:
		last := r.Ports.Sets[len(r.Ports.Sets)-1]
		g.draining, g.needless = &last, time.Time{}
	}
	return a
}

// tooMany says whether the others would do without the last set, and then be far
// from short.
func (g *Gauge) tooMany(r Reading, used, count int) bool {
	if len(r.Ports.Sets) < 2 {
		return false
	}
	rest := count - r.Ports.Sets[len(r.Ports.Sets)-1].Count()
	return float64(used) < g.MoreAt*float64(rest)/2
}
