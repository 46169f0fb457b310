package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/dataplane/fake"
)

// Plane is the data plane, for children one after the other. It tells the record
// what happens, and is sometimes slow or unwilling.
type Plane struct {
	fake   *fake.Dataplane
	record *record

	mu     sync.Mutex
	random *rand.Rand
	unruly bool
}

func newPlane(seed uint64, r *record) *Plane {
	p := &Plane{fake: fake.New(), record: r, random: rand.New(rand.NewPCG(seed, 3))}
	p.fake.OnOp = func(dataplane.Op) dataplane.Result {
		if p.chance(20) {
			return dataplane.Result{Outcome: dataplane.Retryable, Err: errors.New("not now")}
		}
		return dataplane.Result{}
	}
	return p
}

// behave says whether anything goes wrong from now on.
func (p *Plane) behave(well bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unruly = !well
}

// chance is true once in n times, while the plane is unruly.
func (p *Plane) chance(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unruly && p.random.IntN(n) == 0
}

// lose makes it lose all it has, as when it restarts.
func (p *Plane) lose() {
	p.fake.Lose()
	p.record.planeLost()
}

// Configure is that of dataplane.Programmer.
func (p *Plane) Configure(network dataplane.Network, _ *Nothing) error {
	return p.fake.Configure(context.Background(), network)
}

// Apply executes the ops one by one, so that the record sees each when it
// happens.
func (p *Plane) Apply(batch Batch, reply *Results) error {
	if p.chance(10) {
		time.Sleep(10 * time.Millisecond)
	}
	for _, w := range batch.Ops {
		s, err := w.Softwire.softwire()
		if err != nil {
			return err
		}
		op := dataplane.Op{Kind: w.Kind, Softwire: s}
		begun := time.Now()
		results, err := p.fake.Apply(context.Background(), []dataplane.Op{op})
		if err != nil {
			return err
		}
		result := wireResult{Outcome: results[0].Outcome}
		switch {
		case results[0].Err != nil:
			result.Why = results[0].Err.Error()
		case op.Kind == dataplane.Put:
			p.record.planePut(op.Softwire, begun)
		default:
			p.record.planeRemoved(op.Softwire.Key())
		}
		reply.Results = append(reply.Results, result)
	}
	if p.chance(30) {
		return errors.New("the answer is lost")
	}
	return nil
}

// Softwires reads back.
func (p *Plane) Softwires(_ Nothing, reply *Softwires) error {
	for s, err := range p.fake.Softwires(context.Background()) {
		if err != nil {
			return err
		}
		reply.Softwires = append(reply.Softwires, softwireToWire(s))
	}
	return nil
}

// WaitHealth waits for another health than known, but not for long: a child that
// asks may be gone.
func (p *Plane) WaitHealth(known dataplane.Health, health *dataplane.Health) error {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	var err error
	*health, err = p.fake.WaitHealth(ctx, known)
	if errors.Is(err, context.DeadlineExceeded) {
		*health = known
		return nil
	}
	return err
}
