package fake

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Errors of a Dataplane.
var (
	// ErrUnreachable is what a call gets while the incarnation is zero.
	ErrUnreachable = errors.New("fake data plane: not reachable")
	// ErrUnconfigured is why a Put fails before Configure.
	ErrUnconfigured = errors.New("fake data plane: no network configured")
	// ErrOverlap is why a Put fails whose ports another softwire holds.
	ErrOverlap = errors.New("fake data plane: ports held by another softwire")
)

// Dataplane is a data plane in memory. The exported fields are set before its
// first use, and may be nil; they are called without locks held, and must be
// safe for concurrent use when the Dataplane is used so.
type Dataplane struct {
	// OnCall is called before each call that needs the data plane. It may
	// block, for latency, but no longer than ctx. An error fails the call
	// before anything is done.
	OnCall func(ctx context.Context, call Call) error
	// OnOp decides the outcome of an op that would succeed.
	OnOp func(op dataplane.Op) dataplane.Result
	// OnApplied is called after a batch was executed; an error takes the place
	// of its results, so that the caller does not know.
	OnApplied func(ops []dataplane.Op) error
	// Partial, if set, says how many ops of a batch whose OnApplied fails are
	// executed: the first n.
	Partial func(ops []dataplane.Op) (n int)
	// Quiet leaves calls unrecorded, for tests with millions of ops.
	Quiet bool

	health dataplane.Condition

	mu       sync.Mutex
	latest   uint64 // incarnation most recently given out
	network  *dataplane.Network
	bindings map[netip.Addr]map[portset.PortSet]softwire.Softwire
	count    int

	calls      []Call
	exceptions chan dataplane.Exception
	injected   []Injected
	counters   dataplane.Counters
	rows       []dataplane.SoftwireCounters
}

var _ dataplane.Dataplane = (*Dataplane)(nil)

// exceptionLimit bounds the exceptions that wait.
const exceptionLimit = 64

// New returns a Dataplane that is up, in incarnation 1, and empty.
func New() *Dataplane {
	d := &Dataplane{
		latest:     1,
		bindings:   make(map[netip.Addr]map[portset.PortSet]softwire.Softwire),
		exceptions: make(chan dataplane.Exception, exceptionLimit),
	}
	d.health.Set(dataplane.Health{State: dataplane.StateUp, Incarnation: 1})
	return d
}

// Name is "fake".
func (d *Dataplane) Name() string { return "fake" }

// Run waits for ctx to end.
func (d *Dataplane) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Configure remembers network.
func (d *Dataplane) Configure(ctx context.Context, network dataplane.Network) error {
	call := Call{Kind: CallConfigure, Network: cloneNetwork(network)}
	if err := d.enter(ctx, call); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.network = &call.Network
	d.record(call)
	return nil
}

// Apply executes ops as the hooks allow.
func (d *Dataplane) Apply(ctx context.Context, ops []dataplane.Op) ([]dataplane.Result, error) {
	call := Call{Kind: CallApply, Ops: slices.Clone(ops)}
	if err := d.enter(ctx, call); err != nil {
		return nil, err
	}
	var after error
	if d.OnApplied != nil {
		after = d.OnApplied(call.Ops)
	}
	n := len(ops)
	if after != nil && d.Partial != nil {
		n = min(n, d.Partial(call.Ops))
	}
	call.Results = make([]dataplane.Result, n)
	for i, op := range call.Ops[:n] {
		call.Results[i] = d.execute(op)
	}
	d.mu.Lock()
	d.record(call)
	d.mu.Unlock()
	if after != nil {
		return nil, after
	}
	return slices.Clone(call.Results), nil
}

// execute does one op.
func (d *Dataplane) execute(op dataplane.Op) dataplane.Result {
	if err := op.Softwire.Validate(); err != nil && op.Kind == dataplane.Put {
		return dataplane.Result{Outcome: dataplane.Unsupported, Err: err}
	}
	if d.OnOp != nil {
		if result := d.OnOp(op); result.Outcome != dataplane.Programmed {
			return result
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if op.Kind == dataplane.Remove {
		d.remove(op.Softwire.Key())
		return dataplane.Result{}
	}
	if d.network == nil {
		return dataplane.Result{Outcome: dataplane.Retryable, Err: ErrUnconfigured}
	}
	if holder, taken := d.overlapping(op.Softwire.Key()); taken {
		return dataplane.Result{
			Outcome: dataplane.Retryable,
			Err:     fmt.Errorf("put %s: %w: %s", op.Softwire, ErrOverlap, holder),
		}
	}
	d.put(op.Softwire)
	return dataplane.Result{}
}

// overlapping finds another softwire that holds a port of key.
func (d *Dataplane) overlapping(key softwire.Key) (softwire.Softwire, bool) {
	for held, sw := range d.bindings[key.IPv4] {
		// Sets of the same parameters and different PSIDs never overlap.
		if held.Params() != key.PortSet.Params() && held.Overlaps(key.PortSet) {
			return sw, true
		}
	}
	return softwire.Softwire{}, false
}

// put and remove keep count right.
func (d *Dataplane) put(sw softwire.Softwire) {
	sets := d.bindings[sw.IPv4]
	if sets == nil {
		sets = make(map[portset.PortSet]softwire.Softwire)
		d.bindings[sw.IPv4] = sets
	}
	d.count -= len(sets)
	sets[sw.PortSet] = sw
	d.count += len(sets)
}

func (d *Dataplane) remove(key softwire.Key) {
	sets := d.bindings[key.IPv4]
	d.count -= len(sets)
	delete(sets, key.PortSet)
	d.count += len(sets)
	if len(sets) == 0 {
		delete(d.bindings, key.IPv4)
	}
}

// Softwires yields what is held, in random order.
func (d *Dataplane) Softwires(ctx context.Context) iter.Seq2[softwire.Softwire, error] {
	return func(yield func(softwire.Softwire, error) bool) {
		if err := d.enter(ctx, Call{Kind: CallSoftwires}); err != nil {
			yield(softwire.Softwire{}, err)
			return
		}
		d.mu.Lock()
		d.record(Call{Kind: CallSoftwires})
		held := make([]softwire.Softwire, 0, d.count)
		for _, sets := range d.bindings {
			held = slices.AppendSeq(held, maps.Values(sets))
		}
		d.mu.Unlock()
		for _, sw := range held {
			// A real read back takes time, and may be cut short anywhere.
			if err := ctx.Err(); err != nil {
				yield(softwire.Softwire{}, err)
				return
			}
			if !yield(sw, nil) {
				return
			}
		}
	}
}

// enter lets OnCall have its way and checks that the data plane is there.
func (d *Dataplane) enter(ctx context.Context, call Call) error {
	if d.OnCall != nil {
		if err := d.OnCall(ctx, call); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.health.Get().Incarnation == 0 {
		return ErrUnreachable
	}
	return nil
}

func cloneNetwork(n dataplane.Network) dataplane.Network {
	return dataplane.Network{Pools: slices.Clone(n.Pools), BRs: slices.Clone(n.BRs)}
}
