package announce

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
)

// Reconciler tells how far the data plane follows the table; package reconcile
// has it.
type Reconciler interface {
	Stats() reconcile.Stats
	WaitProgress(ctx context.Context, known uint64) (uint64, error)
	Resync()
}

// Meter tells how many packets the data plane has forwarded for each pool so
// far, by name.
type Meter func(ctx context.Context) (map[string]uint64, error)

// Gate announces the routes that the data plane can stand for.
type Gate struct {
	rec   Reconciler
	to    Announcer
	meter Meter
	log   logrus.FieldLogger
	file  file

	wake  chan struct{} // one place: something has changed
	dirty chan struct{} // one place: memory has

	mu       sync.Mutex // guards everything below
	pools    pool.Pools
	core     *gate
	rates    map[string]float64
	version  uint64 // of the memory that was saved last
	latest   facts
	decision decision
	// Why the speakers and the disk do not have what they should; nil if they do.
	speakers, saved error
}

// New returns a Gate for routes to pools, which Run runs. The error says that
// the state file cannot be read.
func New(c GateConfig, pools pool.Pools, routes []Route, rec Reconciler, to Announcer, meter Meter, log logrus.FieldLogger) (*Gate, error) {
	g := &Gate{
		rec: rec, to: to, meter: meter, log: log, file: file{path: c.StateFile},
		wake: make(chan struct{}, 1), dirty: make(chan struct{}, 1), pools: pools,
	}
	remembered, err := g.file.load()
	if err != nil {
		return nil, err
	}
	g.core = newGate(c, remembered, time.Now())
	g.core.configure(routes)
	return g, nil
}

// Configure changes which routes there are. The data plane may not know their
// pools yet.
func (g *Gate) Configure(pools pool.Pools, routes []Route) {
	g.mu.Lock()
	g.pools = pools
	g.core.configure(routes)
	g.mu.Unlock()
	signal(g.wake)
}

// Stats is what is announced, and why the rest is not.
func (g *Gate) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Stats{
		Pools:  g.core.status(g.latest),
		Routes: slices.Clone(g.decision.routes),
		Alarms: slices.Clone(g.decision.alarms),
	}
	if g.speakers != nil {
		s.Alarms = append(s.Alarms, Alarm{AlarmSpeaker, "", g.speakers.Error()})
	}
	if g.saved != nil {
		s.Alarms = append(s.Alarms, Alarm{AlarmState, "", "drains and holds would not survive a restart: " + g.saved.Error()})
	}
	return s
}

// Run announces until ctx ends, and then returns nil. Peers keep what they have
// then: whether routes stay without the router is for the Announcer to say.
func (g *Gate) Run(ctx context.Context) error {
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return g.follow(inner) })
	group.Go(func() error { return g.measure(inner) })
	group.Go(func() error { return g.keep(inner) })
	group.Go(func() error { return g.loop(inner) })
	err := group.Wait()
	g.mu.Lock()
	g.core.memory.Stopped = true
	g.mu.Unlock()
	if err := g.save(); err != nil {
		g.log.WithError(err).Error("drains and holds are not kept over the restart")
	}
	return err
}

// follow wakes the loop when the data plane or the table has changed.
func (g *Gate) follow(ctx context.Context) error {
	var known uint64
	for {
		next, err := g.rec.WaitProgress(ctx, known)
		if err != nil {
			return nil // ctx has ended
		}
		known = next
		signal(g.wake)
		// Leases may come and go by the thousand.
		select {
		case <-time.After(followPause):
		case <-ctx.Done():
		}
	}
}

// keep saves what changes.
func (g *Gate) keep(ctx context.Context) error {
	for {
		select {
		case <-g.dirty:
			if err := g.save(); err != nil {
				g.log.WithError(err).Error("drains and holds would not survive a restart")
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// save makes the memory durable.
func (g *Gate) save() error {
	g.mu.Lock()
	g.version++
	version := g.version
	data, err := json.MarshalIndent(g.core.memory, "", "  ")
	g.mu.Unlock()
	if err == nil {
		err = g.file.write(version, data)
	}
	g.mu.Lock()
	g.saved = err
	g.mu.Unlock()
	return err
}

// Times of a Gate. A loss is known followPause later at most.
const (
	setTimeout  = 5 * time.Second // for the announcer to take routes
	retryPause  = time.Second     // after it did not
	followPause = 5 * time.Millisecond
)

func (g *Gate) loop(ctx context.Context) error {
	var told []Announcement
	first := true
	for ctx.Err() == nil {
		d := g.decide(time.Now())
		if d.verify {
			g.rec.Resync()
		}
		if d.preserved {
			g.to.ForwardingPreserved()
		}
		var err error
		if first || !equal(told, d.set) {
			if err = g.tell(ctx, d.set); err == nil {
				told = d.set
			}
			first = false
		}
		g.mu.Lock()
		g.speakers = err
		g.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			g.log.WithError(err).Error("the routes are not announced; will try again")
			d.again = earliest(d.again, time.Now().Add(retryPause))
		}
		g.await(ctx, d.again)
	}
	return nil
}

// decide takes in what is known now.
func (g *Gate) decide(now time.Time) decision {
	stats := g.rec.Stats()
	g.mu.Lock()
	defer g.mu.Unlock()
	f := factsOf(stats, g.pools)
	f.rates = g.rates
	before := g.decision
	d := g.core.step(now, f)
	g.latest, g.decision = f, d
	if g.core.dirty {
		g.core.dirty = false
		signal(g.dirty)
	}
	g.logChanges(before, d)
	return d
}

// tell gives the announcer what it should have.
func (g *Gate) tell(ctx context.Context, set []Announcement) error {
	ctx, cancel := context.WithTimeout(ctx, setTimeout)
	defer cancel()
	return g.to.Set(ctx, set)
}

// await returns at until, if that is set, or when there is something new.
func (g *Gate) await(ctx context.Context, until time.Time) {
	var due <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-g.wake:
	case <-due:
	case <-ctx.Done():
	}
}

// signal leaves a token in c, which has one place, unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// logChanges says which routes came and went, and which alarms began.
func (g *Gate) logChanges(before, now decision) {
	was := make(map[string]RouteStatus)
	for _, r := range before.routes {
		was[r.Prefix.String()] = r
	}
	for _, r := range now.routes {
		old := was[r.Prefix.String()]
		log := g.log.WithFields(logrus.Fields{"prefix": r.Prefix, "pools": r.Pools})
		switch {
		case r.Announced && !old.Announced:
			log.Info("announced")
		case r.Announced && r.Drain && !old.Drain:
			log.Info("draining")
		case !r.Announced && old.Announced:
			log.WithField("reason", r.Reason).Warn("withdrawn")
		}
	}
	for _, a := range now.alarms {
		known := func(o Alarm) bool { return o.Kind == a.Kind && o.Subject == a.Subject }
		if !slices.ContainsFunc(before.alarms, known) {
			g.log.WithFields(logrus.Fields{"alarm": a.Kind, "subject": a.Subject}).Warn(a.Text)
		}
	}
}
