package reconcile

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/histogram"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Dataplane is what a Reconciler needs of a data plane.
type Dataplane interface {
	dataplane.Programmer
	dataplane.Monitor
	Name() string
}

// Reconciler makes one data plane hold what one table says.
type Reconciler struct {
	config Config
	table  *softwire.Table
	dp     Dataplane
	log    logrus.FieldLogger

	wake  chan struct{} // one place: the loop has something to look at
	ready chan struct{}

	applyTimes histogram.Histogram // of batches

	mu sync.Mutex // guards everything below
	// state is changed by the loop only, but for its waiters.
	state   state
	network networkState
	health  dataplane.Health
	// incarnation is the one that state is about; 0 before the first.
	incarnation uint64
	// interrupt ends the call under way; nil between calls.
	interrupt context.CancelFunc
	// What was asked of the loop.
	complete, resync bool

	progress progress
}

// networkState is which network the data plane has.
type networkState struct {
	wanted   dataplane.Network
	changed  bool // wanted is not what was configured last
	pools    bool // the pools of wanted are not those that are counted
	once     bool // any was configured in this incarnation
	refused  bool // wanted can never be configured
	attempts int  // failed in a row
	due      time.Time
	err      error // the latest failure
}

// New returns a Reconciler that makes dp hold what table says, within network.
// It does nothing before Run. The error is that of config.Validate.
func New(config Config, table *softwire.Table, network dataplane.Network, dp Dataplane, log logrus.FieldLogger) (*Reconciler, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	r := &Reconciler{
		config: config, table: table, dp: dp,
		log:   log.WithField("dataplane", dp.Name()),
		wake:  make(chan struct{}, 1),
		ready: make(chan struct{}),
		state: newState(config),
	}
	r.progress = progress{generation: 1, changed: make(chan struct{})}
	r.SetNetwork(network)
	return r, nil
}

// Changed says that the table has changed. It does not wait.
func (r *Reconciler) Changed() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Complete declares that the table has everything that it should have: what the
// data plane holds besides is removed from now on. Before, only what leaves the
// table is removed.
func (r *Reconciler) Complete() {
	r.mu.Lock()
	r.complete = true
	r.mu.Unlock()
	r.Changed()
}

// Resync asks for a read back, and for what differs to be mended.
func (r *Reconciler) Resync() {
	r.mu.Lock()
	r.resync = true
	r.mu.Unlock()
	r.Changed()
}

// SetNetwork changes which networks the data plane serves. So that nothing is
// interrupted, a caller that takes networks away first takes the softwires that
// use them out of the table, and one that moves softwires to new networks first
// sets both.
func (r *Reconciler) SetNetwork(network dataplane.Network) {
	network = dataplane.Network{Pools: slices.Clone(network.Pools), BRs: slices.Clone(network.BRs)}
	r.mu.Lock()
	r.network = networkState{wanted: network, changed: true, pools: true, once: r.network.once}
	r.mu.Unlock()
	r.Changed()
}

// Ready is closed when, for the first time, the table was complete and every
// softwire of it has had an answer of the data plane: programmed, or refused, or
// being tried again.
func (r *Reconciler) Ready() <-chan struct{} { return r.ready }

// Run reconciles until ctx ends, and then returns nil. It is called once.
func (r *Reconciler) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.watch(ctx) })
	group.Go(func() error { return r.loop(ctx) })
	return group.Wait()
}

// watch follows the health.
func (r *Reconciler) watch(ctx context.Context) error {
	var known dataplane.Health
	for attempts := 1; ; {
		health, err := r.dp.WaitHealth(ctx, known)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			r.log.WithError(err).Warn("cannot learn the data plane's health")
			sleep(ctx, r.config.backoff(attempts))
			attempts++
			continue
		}
		attempts = 1
		known = health
		r.mu.Lock()
		lost := health.Incarnation != r.health.Incarnation
		r.health = health
		if lost && r.interrupt != nil {
			// No answer to be expected from what is gone.
			r.interrupt()
		}
		r.progress.made()
		r.mu.Unlock()
		r.log.WithFields(logrus.Fields{
			"state": health.State, "incarnation": health.Incarnation, "reason": health.Reason,
		}).Info("data plane health")
		r.Changed()
	}
}

// sameNetwork reports whether a and b say the same in the same order.
func sameNetwork(a, b dataplane.Network) bool {
	return slices.Equal(a.Pools, b.Pools) && slices.Equal(a.BRs, b.BRs)
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
