package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/integration/bird"
	"github.com/lwaftr/lw4o6/integration/edge"
	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/scene"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// withdrawals measures how long BIRD has routes to a pool that nothing forwards
// for, after VPP or the router was killed, and when it has them again.
func (s scale) withdrawals(context.Context) ([]spec, func() error, error) {
	lwaftr := scene.In(s.binaries).Lwaftr
	if err := errors.Join(netlab.Available(), netlab.Installed(bird.Program, bird.Package), built(lwaftr)); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errSkip, err)
	}
	// Nothing is to wait for but what has to be done.
	o := edge.Options{Lwaftr: lwaftr, Softwires: s.withdrawn, Announce: "hold-down: 0s, flap-limit: 0"}
	alone := &losses{options: o, runs: s.kills, again: (*edge.Edge).StartRouter, kill: (*edge.Edge).KillRouter}
	specs := []spec{
		{name: "bgp-withdraw-router", unit: "ms, median", ours: alone.withdrawn(median), once: true},
		{name: "bgp-withdraw-router-max", unit: "ms", ours: alone.withdrawn(slices.Max), once: true},
		{name: "bgp-return-router", unit: "s, median", ours: alone.returned, once: true},
	}
	if vpp, err := vpptest.Usable(); err != nil {
		s.say("withdrawals without VPP: %v", err)
	} else {
		o.VPP = vpp
		beside := &losses{options: o, runs: s.kills, again: (*edge.Edge).StartVPP, kill: (*edge.Edge).KillVPP}
		specs = append(specs,
			spec{name: "bgp-withdraw-vpp", unit: "ms, median", ours: beside.withdrawn(median), once: true},
			spec{name: "bgp-withdraw-vpp-max", unit: "ms", ours: beside.withdrawn(slices.Max), once: true},
			spec{name: "bgp-return-vpp", unit: "s, median", ours: beside.returned, once: true})
	}
	return specs, nil, nil
}

// losses is what is killed again and again.
type losses struct {
	options edge.Options
	runs    int
	kill    func(*edge.Edge) (time.Time, error)
	again   func(*edge.Edge, context.Context) error

	ran        bool
	err        error
	gone, back []float64 // in seconds, of each run
}

// lossLimit bounds all runs of one kind.
const lossLimit = 5 * time.Minute

// run does it, once.
func (l *losses) run(ctx context.Context) error {
	if !l.ran {
		l.ran, l.err = true, l.once(ctx)
	}
	return l.err
}

func (l *losses) once(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, lossLimit)
	defer cancel()
	e, err := edge.Start(ctx, l.options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	for range l.runs {
		killed, err := l.kill(e)
		if err != nil {
			return err
		}
		gone, err := e.Withdrawn(ctx)
		if err != nil {
			return err
		}
		if err := l.again(e, ctx); err != nil {
			return err
		}
		started := time.Now()
		back, err := e.Announced(ctx)
		if err != nil {
			return err
		}
		l.gone = append(l.gone, gone.Sub(killed).Seconds())
		l.back = append(l.back, back.Sub(started).Seconds())
	}
	return nil
}

// withdrawn is one of the times until BIRD had lost the routes, in milliseconds.
func (l *losses) withdrawn(which func([]float64) float64) measure {
	return func(ctx context.Context) (float64, error) {
		if err := l.run(ctx); err != nil {
			return 0, err
		}
		return 1000 * which(l.gone), nil
	}
}

// returned is the time from when what was killed takes calls again until BIRD has
// the routes.
func (l *losses) returned(ctx context.Context) (float64, error) {
	if err := l.run(ctx); err != nil {
		return 0, err
	}
	return median(l.back), nil
}
