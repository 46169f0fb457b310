// Package vpprig lets a real VPP run packet vectors: each case gets a VPP of its
// own, programmed by the driver, and packets go in and out by its interfaces.
package vpprig

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/integration/vectors"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv"
	"github.com/lwaftr/lw4o6/vppdrv/stats"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// rig is a VPP between two ports, with the driver running.
type rig struct {
	scope  vpptest.Scope
	vpp    *vpptest.VPP
	driver *vppdrv.Driver
	stats  *stats.Reader
	ports  [2]*vpptest.Port
	tables int // of the classifier, that the rig made
	causes map[string]vectors.Cause
	sent   [2]uint64
}

var _ vectors.Factory = Start

// Start starts a VPP and has the driver program it. The error wraps
// vpptest.ErrNoVPP if the machine has none.
func Start(ctx context.Context, s vectors.Setup) (vectors.Rig, error) {
	r := &rig{causes: causes(s)}
	err := r.start(ctx, s)
	if err != nil {
		return nil, errors.Join(err, r.scope.Close())
	}
	return r, nil
}

func (r *rig) start(ctx context.Context, s vectors.Setup) error {
	err := r.scope.Do(func() {
		r.vpp = vpptest.Start(&r.scope, vpptest.Config{})
		for i := range r.ports {
			r.ports[i] = r.vpp.AddPort()
		}
		r.route(s)
	})
	if err != nil {
		return err
	}
	r.stats = stats.New(r.vpp.Stats)
	log := logrus.New()
	log.SetOutput(io.Discard)
	if r.driver, err = vppdrv.New(r.config(s), log); err != nil {
		return err
	}
	r.run()
	if err := r.up(ctx); err != nil {
		return err
	}
	if err := r.driver.Configure(ctx, s.Network()); err != nil {
		return err
	}
	ops := make([]dataplane.Op, len(s.Softwires))
	for i, w := range s.Softwires {
		ops[i] = dataplane.Op{Kind: dataplane.Put, Softwire: w}
	}
	results, err := r.driver.Apply(ctx, ops)
	if err != nil {
		return err
	}
	for i, result := range results {
		switch {
		case result.Outcome == dataplane.Unsupported:
			return fmt.Errorf("%w: softwire %s: %w", vectors.ErrUnsupported, ops[i].Softwire, result.Err)
		case result.Err != nil:
			return fmt.Errorf("softwire %s: %w", ops[i].Softwire, result.Err)
		}
	}
	return nil
}

// run runs the driver until the rig is closed.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.driver.Run(ctx) }()
	r.scope.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.scope.Errorf("driver: %w", err)
		}
	})
}

// up waits until the driver is connected.
func (r *rig) up(ctx context.Context) error {
	var h dataplane.Health
	for h.State != dataplane.StateUp {
		var err error
		if h, err = r.driver.WaitHealth(ctx, h); err != nil {
			return fmt.Errorf("%w: %s", err, h.Reason)
		}
	}
	return nil
}

// Send is as in vectors.Rig.
func (r *rig) Send(ctx context.Context, side dataplane.Side, packet []byte) error {
	r.sent[side]++
	if err := r.ports[side].Send(packet); err != nil {
		return err
	}
	return r.settle(ctx)
}

// pause is the time between two looks at VPP's counters.
const pause = time.Millisecond

// settle waits until all that was sent, and what became of it, has gone through
// VPP and the control logic.
func (r *rig) settle(ctx context.Context) error {
	for ; ctx.Err() == nil; time.Sleep(pause) {
		reading, err := r.stats.Read(ctx)
		if err != nil {
			return err
		}
		received := true
		for side, port := range r.ports {
			received = received && int(port.Index) < len(reading.Interfaces) && reading.Interfaces[port.Index].Rx.Packets >= r.sent[side]
		}
		if received {
			break
		}
	}
	for ; ctx.Err() == nil; time.Sleep(pause) {
		// VPP without workers answers between two rounds of forwarding. What it
		// was given to inject it takes in the round after.
		for range 3 {
			if _, err := r.vpp.TryCLI("show version"); err != nil {
				return err
			}
		}
		c, err := r.driver.Counters(ctx)
		if err != nil {
			return err
		}
		if event(c, "exceptions") == event(c, vppdrv.EventHandled) {
			return nil
		}
	}
	return ctx.Err()
}

func event(c dataplane.Counters, name string) uint64 {
	i := slices.IndexFunc(c.Events, func(e dataplane.Event) bool { return e.Name == name })
	if i < 0 {
		return 0
	}
	return c.Events[i].Packets
}

// Collect is as in vectors.Rig. What VPP answers to a ping comes after all that
// came before it.
func (r *rig) Collect(ctx context.Context) (out [2][][]byte, err error) {
	for side, port := range r.ports {
		request, err := ping(dataplane.Side(side))
		if err != nil {
			return out, err
		}
		if err := port.Send(request); err != nil {
			return out, err
		}
		for {
			packet, err := port.Receive(ctx)
			if err != nil {
				return out, err
			}
			if bytes.Contains(packet, []byte(pingData)) {
				break
			}
			out[side] = append(out[side], packet)
		}
	}
	return out, nil
}

// Drops is as in vectors.Rig.
func (r *rig) Drops(ctx context.Context) (map[vectors.Cause]uint64, error) {
	c, err := r.driver.Counters(ctx)
	if err != nil {
		return nil, err
	}
	drops := make(map[vectors.Cause]uint64)
	for _, e := range c.Events {
		if e.Drop {
			drops[cmp.Or(r.causes[e.Name], vectors.CauseOther)] += e.Packets
		}
	}
	return drops, nil
}

// Close is as in vectors.Rig.
func (r *rig) Close() error { return r.scope.Close() }
