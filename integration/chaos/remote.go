package main

import (
	"context"
	"errors"
	"iter"
	"net/rpc"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

var _ reconcile.Dataplane = remotePlane{}

// remotePlane is the parent's data plane as the child sees it.
type remotePlane struct{ client *rpc.Client }

// Name is that of the data plane.
func (remotePlane) Name() string { return "parent" }

// call waits for the reply, or for the end of ctx.
func (r remotePlane) call(ctx context.Context, method string, args, reply any) error {
	c := r.client.Go(planeService+"."+method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-c.Done:
		return c.Error
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Configure states the network.
func (r remotePlane) Configure(ctx context.Context, network dataplane.Network) error {
	return r.call(ctx, "Configure", network, &Nothing{})
}

// Apply executes ops.
func (r remotePlane) Apply(ctx context.Context, ops []dataplane.Op) ([]dataplane.Result, error) {
	batch := Batch{Ops: make([]wireOp, len(ops))}
	for i, op := range ops {
		batch.Ops[i] = wireOp{op.Kind, softwireToWire(op.Softwire)}
	}
	reply := new(Results)
	if err := r.call(ctx, "Apply", batch, reply); err != nil {
		return nil, err
	}
	results := make([]dataplane.Result, len(reply.Results))
	for i, result := range reply.Results {
		results[i].Outcome = result.Outcome
		if result.Why != "" {
			results[i].Err = errors.New(result.Why)
		}
	}
	return results, nil
}

// Softwires reads back.
func (r remotePlane) Softwires(ctx context.Context) iter.Seq2[softwire.Softwire, error] {
	return func(yield func(softwire.Softwire, error) bool) {
		reply := new(Softwires)
		if err := r.call(ctx, "Softwires", Nothing{}, reply); err != nil {
			yield(softwire.Softwire{}, err)
			return
		}
		for _, w := range reply.Softwires {
			if s, err := w.softwire(); !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// WaitHealth waits for another health than known.
func (r remotePlane) WaitHealth(ctx context.Context, known dataplane.Health) (dataplane.Health, error) {
	for {
		var health dataplane.Health
		// The parent answers after a while in any case.
		if err := r.call(ctx, "WaitHealth", known, &health); err != nil {
			return dataplane.Health{}, err
		}
		if !health.Same(known) {
			return health, nil
		}
	}
}
