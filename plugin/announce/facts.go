package announce

import (
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
)

// facts are what is known of the data plane at one moment.
type facts struct {
	forwarding bool
	reason     string // why not
	// incarnation changes when the data plane has lost its softwires; 0: it cannot
	// be reached.
	incarnation uint64
	// read: what the data plane holds is known.
	read bool
	// verified is when it was last seen to be as it should be, in this
	// incarnation.
	verified time.Time
	// syncing: it is being looked at.
	syncing bool
	// settled: the counts are those of the present table and pools, and the data
	// plane serves the pools.
	settled bool
	lag     time.Duration // the age of the oldest pending change
	refused int           // changes that the data plane will never take
	// pools are counts by name. Pools that are not counted yet are missing.
	pools map[string]count
	// rates are packets per second by pool, measured lately; those of pools that
	// were not measured are missing.
	rates map[string]float64
}

// count is how far the softwires of one pool are. Lost are those that the data
// plane did not hold when it was first read back.
type count struct{ desired, programmed, lost int }

func (c count) missing() int { return c.desired - c.programmed }

// forgot reports whether the data plane was without most softwires of a pool when
// it was first looked at, whatever it has now. Some may be missing because they
// are new.
func (c count) forgot() bool { return 2*c.lost > c.desired }

// text says how many are missing.
func (c count) text() string {
	return fmt.Sprintf("%d of %d softwires are not programmed", c.missing(), c.desired)
}

// factsOf are the facts that s has about pools.
func factsOf(s reconcile.Stats, pools pool.Pools) facts {
	f := facts{
		forwarding: s.Health.State == dataplane.StateUp, reason: s.Health.Reason,
		incarnation: s.Health.Incarnation, read: s.Read, syncing: s.Syncing,
		settled: s.Configured && !s.Behind, lag: s.Lag, refused: s.Refused,
		pools: make(map[string]count, len(pools)),
	}
	if s.Incarnation != 0 && s.Incarnation == s.Health.Incarnation {
		f.verified = s.LastVerified
	}
	for _, p := range pools {
		if all, complete := s.Sum(p.Prefixes); complete {
			f.pools[p.Name] = count{desired: all.Desired, programmed: all.Programmed, lost: all.Lost}
		}
	}
	return f
}
