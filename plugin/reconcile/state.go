package reconcile

import (
	"math/rand/v2"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// state is what the loop knows. Its methods do no I/O and know no clock.
type state struct {
	config Config
	limits limits

	// seen is the table as of the latest refresh; nil before the first. Backlog
	// and pass say in what the data plane differs from it.
	seen    *softwire.Snapshot
	backlog *backlog
	pass    *pass
	counts  *counts
	waiters waiters

	// unknown: the data plane's content must be read back before anything is
	// sent. blank: it is another incarnation, so nothing of it counts.
	unknown, blank bool
	// complete: the table was declared complete. withheld is what the data plane
	// holds and the table does not, as long as it is not.
	complete bool
	withheld map[softwire.Key]struct{}
	// truncated: the latest read back had more of them than it remembered.
	truncated bool
	// deferred: the table has changed by so much that it waits for the end of
	// the pass.
	deferred bool

	read readback

	lastSync, lastVerified time.Time
	totals                 Totals
}

// limits bound the memory and the time of single steps. Only tests change them.
type limits struct {
	// bulk is the most changes of a batch that become objects; more are streamed
	// by a pass.
	bulk int
	// scan is how much of a pass one plan looks at.
	scan int
	// extra is how many softwires that are not desired one read back remembers.
	extra int
}

// readback is the schedule of reading back.
type readback struct {
	wanted   bool
	due      time.Time
	failures int   // of reads and batches, in a row
	mended   int   // reads in a row that found something to mend
	err      error // why the data plane's content is unknown
}

func newState(config Config) state {
	return state{
		config: config, limits: limits{bulk: 16384, scan: 16384, extra: 65536},
		backlog: newBacklog(), counts: newCounts(nil),
		waiters: waiters{byKey: make(map[softwire.Key][]*waiter)},
	}
}

// backoff is the pause after a number of failures in a row, at least 1.
func (c Config) backoff(attempts int) time.Duration {
	d := c.RetryMax
	if shift := attempts - 1; shift < 32 && c.RetryMin<<shift < c.RetryMax {
		d = c.RetryMin << shift
	}
	// Jitter, so that what failed together is not tried together.
	return d - rand.N(d/2+1)
}

// counted reports whether key is among the programmed ones.
func (s *state) counted(key softwire.Key) bool {
	return !s.blank && s.backlog.byKey[key] == nil && !s.pass.has(key)
}

// settled reports whether the data plane is known to hold for key what seen
// says.
func (s *state) settled(key softwire.Key) bool {
	if s.seen == nil || s.unknown || s.backlog.byKey[key] != nil {
		return false
	}
	if _, desired := s.seen.Get(key); desired {
		return !s.pass.has(key)
	}
	_, held := s.withheld[key]
	return !held && !s.pass.removalsPending()
}

// incarnation begins anew: the data plane holds nobody knows what.
func (s *state) incarnation(now time.Time) {
	s.doubt(now)
	s.read.failures, s.read.mended, s.read.err = 0, 0, nil
	s.blank = true
	s.lastSync, s.lastVerified = time.Time{}, time.Time{}
	s.counts.programmedAs(s.counts.empty())
	s.backlog.restart()
}

// doubt wants a read back before anything else is sent.
func (s *state) doubt(now time.Time) {
	s.unknown = true
	s.read.wanted, s.read.due = true, now
}

// endPass stops a pass that is finished or overtaken.
func (s *state) endPass() {
	if s.pass != nil {
		s.pass.stop()
		s.pass = nil
	}
}

// put and removal make ops.
func putOp(sw softwire.Softwire) dataplane.Op {
	return dataplane.Op{Kind: dataplane.Put, Softwire: sw}
}

func removeOp(key softwire.Key) dataplane.Op {
	return dataplane.Op{
		Kind:     dataplane.Remove,
		Softwire: softwire.Softwire{IPv4: key.IPv4, PortSet: key.PortSet},
	}
}
