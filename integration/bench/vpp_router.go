package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/vppdrv"
	"github.com/lwaftr/lw4o6/vppdrv/stats"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// router is a VPP of its own with one worker, programmed from a table as the
// lwAFTR does it. Nothing but packet generators is connected to it.
type router struct {
	scope      vpptest.Scope
	vpp        *vpptest.VPP
	table      *softwire.Table
	driver     *vppdrv.Driver
	reconciler *reconcile.Reconciler
	stats      *stats.Reader
	streams    map[string]*stream // by the interface they come in; nil before generate

	ctx    context.Context // of what runs
	cancel context.CancelFunc
	group  errgroup.Group
}

// startRouter starts a VPP without softwires and connects the driver to it.
func startRouter(ctx context.Context, c vpptest.Config) (*router, error) {
	r := &router{table: softwire.NewTable()}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if err := r.start(ctx, c); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *router) start(ctx context.Context, c vpptest.Config) error {
	err := r.scope.Do(func() {
		r.vpp = vpptest.Start(&r.scope, c)
		r.vpp.Lines(operatorLines())
	})
	if err != nil {
		return err
	}
	r.stats = stats.New(r.vpp.Stats)
	log := logrus.New()
	log.SetOutput(io.Discard)
	config := vppdrv.DefaultConfig()
	config.API, config.Stats, config.Punt = r.vpp.API, r.vpp.Stats, r.vpp.Punt
	config.Instance = "bench"
	// Whoever counts what comes out counts answers, too.
	config.Forwarding.ICMPv6.Policy = false
	if r.driver, err = vppdrv.New(config, log); err != nil {
		return err
	}
	network := dataplane.Network{Pools: []netip.Prefix{pool}, BRs: []netip.Addr{brAddress}}
	if r.reconciler, err = reconcile.New(reconcile.DefaultConfig(), r.table, network, r.driver, log); err != nil {
		return err
	}
	r.reconciler.Complete()
	r.group.Go(func() error { return r.driver.Run(r.ctx) })
	ctx, cancel := r.patiently(ctx)
	defer cancel()
	var h dataplane.Health
	for h.State != dataplane.StateUp {
		if h, err = r.driver.WaitHealth(ctx, h); err != nil {
			return fmt.Errorf("VPP does not get ready: %w", err)
		}
	}
	return nil
}

// program programs the table, and waits until it was read back. It is called
// once.
func (r *router) program(ctx context.Context) error {
	r.group.Go(func() error { return r.reconciler.Run(r.ctx) })
	return r.verified(ctx, time.Time{})
}

// change changes the table.
func (r *router) change(c softwire.Change) error {
	if err := r.table.Apply(c); err != nil {
		return err
	}
	r.reconciler.Changed()
	return nil
}

// followed waits until VPP has of each key what the table has.
func (r *router) followed(ctx context.Context, keys []softwire.Key) error {
	ctx, cancel := r.patiently(ctx)
	defer cancel()
	return r.reconciler.Wait(ctx, keys...)
}

// patience bounds each wait for VPP.
const patience = 2 * time.Minute

// patiently is a context for a wait for VPP, which ends when VPP does.
func (r *router) patiently(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	go func(exited <-chan struct{}) {
		select {
		case <-exited:
			cancel()
		case <-ctx.Done():
		}
	}(r.vpp.Exited())
	return ctx, cancel
}

// verified waits until VPP was found to hold the whole table, after a time.
func (r *router) verified(ctx context.Context, after time.Time) error {
	ctx, cancel := r.patiently(ctx)
	defer cancel()
	for known := uint64(0); ; {
		generation, err := r.reconciler.WaitProgress(ctx, known)
		s := r.reconciler.Stats()
		if err != nil || s.Refused > 0 {
			return fmt.Errorf("VPP has %d of %d softwires and refuses %d (%s): %w", s.Programmed, s.Desired, s.Refused, s.Health.Reason, err)
		}
		known = generation
		if s.LastVerified.After(after) && s.Programmed == s.Desired && s.Pending == 0 {
			return nil
		}
	}
}

// killVPP kills VPP and starts another one in its place. It returns when the new
// one answers and has what is the operator's.
func (r *router) killVPP() error {
	r.streams = nil
	return r.scope.Do(func() {
		r.vpp.Kill()
		r.vpp.Restart()
		r.vpp.Lines(operatorLines())
	})
}

func (r *router) close() error {
	r.cancel()
	return errors.Join(r.group.Wait(), r.scope.Close())
}

// index is VPP's number of an interface.
func (r *router) index(name string) (index int) {
	output := r.vpp.CLI("show interface %s", name)
	for line := range strings.Lines(output) {
		var first string
		if n, _ := fmt.Sscan(line, &first, &index); n == 2 && first == name {
			return index
		}
	}
	r.scope.Fatalf("number of %s:\n%s", name, output)
	return 0
}
