// Package forwarderrig lets the embedded forwarder run packet vectors: packets
// are given to one of its workers, so nothing but the process is needed and
// everything is processed when Send returns.
package forwarderrig

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/integration/vectors"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

// headroom is what a worker may write to before a packet, in bytes.
const headroom = 64

// rig is a Forwarder with one worker.
type rig struct {
	forwarder *forwarder.Forwarder
	worker    *forwarder.Worker
	now       time.Time
	out       [2][][]byte
}

var _ vectors.Factory = Start

// Start sets a Forwarder up. The error names the value that the Forwarder
// cannot have.
func Start(ctx context.Context, s vectors.Setup) (vectors.Rig, error) {
	f, err := forwarder.New(s.Forwarding(), noIO{})
	if err != nil {
		return nil, err
	}
	if err := f.Configure(ctx, s.Network()); err != nil {
		return nil, err
	}
	ops := make([]dataplane.Op, len(s.Softwires))
	for i, w := range s.Softwires {
		ops[i] = dataplane.Op{Kind: dataplane.Put, Softwire: w}
	}
	results, err := f.Apply(ctx, ops)
	if err != nil {
		return nil, err
	}
	for i, r := range results {
		if r.Outcome != dataplane.Programmed {
			return nil, fmt.Errorf("softwire %s: %w", ops[i].Softwire, r.Err)
		}
	}
	return &rig{forwarder: f, worker: f.NewWorker(), now: time.Now()}, nil
}

// Send is as in vectors.Rig.
func (r *rig) Send(_ context.Context, side dataplane.Side, packet []byte) error {
	buf := make([]byte, headroom+len(packet))
	copy(buf[headroom:], packet)
	r.now = r.now.Add(time.Millisecond)
	r.worker.Begin(r.now)
	r.worker.Packet(side, buf, headroom, len(buf))
	for _, o := range r.worker.End() {
		r.out[o.Side] = append(r.out[o.Side], slices.Clone(o.Packet))
	}
	return nil
}

// Collect is as in vectors.Rig.
func (r *rig) Collect(context.Context) ([2][][]byte, error) { return r.out, nil }

// Drops is as in vectors.Rig.
func (r *rig) Drops(ctx context.Context) (map[vectors.Cause]uint64, error) {
	counters, err := r.forwarder.Counters(ctx)
	if err != nil {
		return nil, err
	}
	drops := map[vectors.Cause]uint64{}
	for _, e := range counters.Events {
		if e.Drop {
			drops[cause(e.Name)] += e.Packets
		}
	}
	return drops, nil
}

// Close is as in vectors.Rig. There is nothing to end.
func (r *rig) Close() error { return nil }

// noIO is no I/O: the worker is called directly.
type noIO struct{}

var errNoIO = errors.New("this forwarder has no interfaces")

func (noIO) Run(context.Context, func() *forwarder.Worker) error { return errNoIO }
func (noIO) Send(context.Context, dataplane.Side, []byte) error  { return errNoIO }
