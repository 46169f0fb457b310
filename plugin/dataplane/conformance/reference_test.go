package conformance

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// flaw is something a reference leaves out or does wrong.
type flaw string

// reference is a data plane that is slow and simple: one lock, one map, packets
// taken apart and put together by gopacket. It shows that the suite can be
// passed, and, with a flaw, that the suite notices. Its forwarding is in
// referenceforward_test.go.
type reference struct {
	flaws map[flaw]bool

	mu        sync.Mutex
	health    dataplane.Health
	changed   chan struct{}
	network   dataplane.Network
	softwires map[softwire.Key]softwire.Softwire
	counters  dataplane.Counters
	events    map[string]*dataplane.Event
	rows      map[softwire.Key]*dataplane.SoftwireCounters

	out        map[dataplane.Side]chan []byte
	exceptions chan dataplane.Exception
}

const referenceLimit = 50

func newReference(flaws ...flaw) *reference {
	r := &reference{
		flaws:   make(map[flaw]bool),
		health:  dataplane.Health{State: dataplane.StateUp, Incarnation: 1},
		changed: make(chan struct{}),
		out: map[dataplane.Side]chan []byte{
			dataplane.SideIPv4: make(chan []byte, 1000),
			dataplane.SideIPv6: make(chan []byte, 1000),
		},
		exceptions: make(chan dataplane.Exception, referenceLimit),
	}
	for _, f := range flaws {
		r.flaws[f] = true
	}
	r.forget()
	return r
}

func (r *reference) forget() {
	r.softwires = make(map[softwire.Key]softwire.Softwire)
	r.counters = dataplane.Counters{Granularity: dataplane.PerSoftwire}
	r.events = make(map[string]*dataplane.Event)
	r.rows = make(map[softwire.Key]*dataplane.SoftwireCounters)
}

// referenceFactory makes rigs around references with flaws.
func referenceFactory(flaws ...flaw) Factory {
	return func(T) *Rig {
		r := newReference(flaws...)
		return &Rig{
			Dataplane:      r,
			Send:           r.send,
			Receive:        r.receive,
			ExceptionLimit: referenceLimit,
			Lose:           r.lose,
		}
	}
}

func (r *reference) receive(ctx context.Context, side dataplane.Side) ([]byte, error) {
	select {
	case p := <-r.out[side]:
		return p, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *reference) lose(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	if r.flaws["loses softwires silently"] {
		return nil
	}
	r.health.Incarnation++
	close(r.changed)
	r.changed = make(chan struct{})
	return nil
}

func (r *reference) Name() string { return "reference" }

func (r *reference) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (r *reference) Configure(_ context.Context, n dataplane.Network) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.network = n
	if r.flaws["configure forgets"] {
		r.forget()
	}
	return nil
}

func (r *reference) Apply(_ context.Context, ops []dataplane.Op) ([]dataplane.Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flaws["applies the last first"] {
		ops = slices.Clone(ops)
		slices.Reverse(ops)
	}
	results := make([]dataplane.Result, len(ops))
	for i, op := range ops {
		results[i] = r.apply(op)
		if results[i].Outcome != dataplane.Programmed && r.flaws["stops at a bad op"] {
			break
		}
	}
	return results, nil
}

func (r *reference) apply(op dataplane.Op) dataplane.Result {
	key := op.Softwire.Key()
	if op.Kind == dataplane.Remove {
		if _, ok := r.softwires[key]; !ok && r.flaws["remove twice is an error"] {
			return dataplane.Result{Outcome: dataplane.Retryable, Err: errors.New("not there")}
		}
		if !r.flaws["ignores remove"] {
			delete(r.softwires, key)
		}
		return dataplane.Result{}
	}
	if err := op.Softwire.Validate(); err != nil {
		return dataplane.Result{Outcome: dataplane.Unsupported, Err: err}
	}
	for other := range r.softwires {
		if other != key && other.IPv4 == key.IPv4 && other.PortSet.Overlaps(key.PortSet) && !r.flaws["takes overlaps"] {
			return dataplane.Result{Outcome: dataplane.Retryable, Err: errors.New("overlaps " + other.String())}
		}
	}
	if _, there := r.softwires[key]; there && r.flaws["put does not replace"] {
		return dataplane.Result{}
	}
	r.softwires[key] = op.Softwire
	r.rows[key] = &dataplane.SoftwireCounters{Key: key}
	return dataplane.Result{}
}

func (r *reference) Softwires(context.Context) iter.Seq2[softwire.Softwire, error] {
	r.mu.Lock()
	held := slices.Collect(maps.Values(r.softwires))
	r.mu.Unlock()
	return func(yield func(softwire.Softwire, error) bool) {
		for i, sw := range held {
			if i == 1 && r.flaws["reads back the first twice"] {
				sw = held[0]
			}
			if !yield(sw, nil) {
				return
			}
		}
	}
}

func (r *reference) WaitHealth(ctx context.Context, known dataplane.Health) (dataplane.Health, error) {
	for {
		r.mu.Lock()
		h, changed := r.health, r.changed
		r.mu.Unlock()
		if !h.Same(known) {
			return h, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if r.flaws["hides the context's error"] {
				return h, nil
			}
			return h, ctx.Err()
		}
	}
}

func (r *reference) Counters(context.Context) (dataplane.Counters, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counters
	for _, name := range slices.Sorted(maps.Keys(r.events)) {
		c.Events = append(c.Events, *r.events[name])
	}
	return c, nil
}

func (r *reference) SoftwireCounters(context.Context) iter.Seq2[dataplane.SoftwireCounters, error] {
	r.mu.Lock()
	var rows []dataplane.SoftwireCounters
	byAddress := make(map[softwire.Key]dataplane.SoftwireCounters)
	for _, row := range r.rows {
		rows = append(rows, *row)
		key := softwire.Key{IPv4: row.Key.IPv4, PortSet: portset.PortSet{}}
		sum := byAddress[key]
		byAddress[key] = dataplane.SoftwireCounters{
			Key: key, ToB4: plus(sum.ToB4, row.ToB4), FromB4: plus(sum.FromB4, row.FromB4),
		}
	}
	if r.counters.Granularity == dataplane.PerAddress {
		rows = slices.Collect(maps.Values(byAddress))
	}
	r.mu.Unlock()
	return func(yield func(dataplane.SoftwireCounters, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

func (r *reference) Exceptions(ctx context.Context, into []dataplane.Exception) (int, error) {
	select {
	case into[0] = <-r.exceptions:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	n := 1
	for ; n < len(into); n++ {
		select {
		case into[n] = <-r.exceptions:
			continue
		default:
		}
		break
	}
	return n, nil
}

func (r *reference) Inject(_ context.Context, side dataplane.Side, packet []byte) error {
	version := map[dataplane.Side]byte{dataplane.SideIPv4: 4, dataplane.SideIPv6: 6}[side]
	least := map[dataplane.Side]int{dataplane.SideIPv4: 20, dataplane.SideIPv6: 40}[side]
	if len(packet) < least || packet[0]>>4 != version {
		return errors.New("not a packet")
	}
	if !r.flaws["inject keeps the caller's buffer"] {
		packet = slices.Clone(packet)
	}
	r.out[side] <- packet
	return nil
}
