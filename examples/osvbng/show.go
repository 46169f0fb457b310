// Copyright 2026 The lw4o6 Authors
// SPDX-License-Identifier: GPL-3.0-or-later

package osvbng

import (
	"context"
	"fmt"

	"github.com/veesix-networks/osvbng/pkg/deps"
	"github.com/veesix-networks/osvbng/pkg/handlers/show"
	"github.com/veesix-networks/osvbng/pkg/handlers/show/paths"
	"github.com/veesix-networks/osvbng/pkg/telemetry"
)

// Status is what show <namespace>.status shows, and osvbng's metrics of it.
type Status struct {
	Router       string   `json:"router" metric:"label"`
	Dataplane    string   `json:"dataplane" metric:"label"`
	State        string   `json:"state"`
	Ready        bool     `json:"ready"`
	Problems     []string `json:"problems"`
	Up           uint8    `json:"up" metric:"name=lw4o6.dataplane.up,type=gauge,help=Whether the data plane forwards."`
	Desired      int      `json:"desired" metric:"name=lw4o6.softwires.desired,type=gauge,help=Softwires of the binding table."`
	Programmed   int      `json:"programmed" metric:"name=lw4o6.softwires.programmed,type=gauge,help=Softwires that the data plane has."`
	Pending      int      `json:"pending" metric:"name=lw4o6.changes.pending,type=gauge,help=Changes that the data plane has not made."`
	Unsupported  int      `json:"unsupported" metric:"name=lw4o6.changes.refused,type=gauge,help=Changes that the data plane refuses."`
	ProblemCount int      `json:"problem_count" metric:"name=lw4o6.problems,type=gauge,help=Things that are wrong."`
}

// Pool is one line of what show <namespace>.pools shows, and osvbng's metrics of
// it.
type Pool struct {
	Router    string `json:"router" metric:"label"`
	Name      string `json:"name" metric:"label"`
	BR        string `json:"br_ipv6_addr"`
	Capacity  uint64 `json:"capacity" metric:"name=lw4o6.pool.port_sets,type=gauge,help=Port sets of a pool."`
	Softwires int    `json:"softwires" metric:"name=lw4o6.pool.softwires,type=gauge,help=Softwires on addresses of a pool."`
	Lendable  int    `json:"lendable" metric:"name=lw4o6.pool.lendable,type=gauge,help=Port sets that may be lent."`
	Bound     int    `json:"bound" metric:"name=lw4o6.pool.bound,type=gauge,help=Port sets that are lent."`
}

// registerShow registers the show handlers of a plugin, and has osvbng take
// metrics from what they show.
func registerShow(namespace string) {
	for _, h := range []handler{
		{path: namespace + ".status", summary: "Show how the lwAFTR is", collect: status},
		{path: namespace + ".pools", summary: "Show how much of each IPv4 pool is used", collect: pools},
	} {
		h.namespace = namespace
		show.RegisterFactory(func(d *deps.ShowDeps) show.ShowHandler {
			h.deps = d
			return h
		})
	}
	telemetry.RegisterMetric[Status](paths.Path(namespace + ".status"))
	telemetry.RegisterMetric[Pool](paths.Path(namespace + ".pools"))
}

// handler is one show handler.
type handler struct {
	namespace, path, summary string
	collect                  func(context.Context, *Component) (any, error)
	deps                     *deps.ShowDeps
}

// Collect returns nothing while the plugin is not enabled, as osvbng wants it.
func (h handler) Collect(ctx context.Context, _ *show.Request) (any, error) {
	c, ok := h.deps.PluginComponents[h.namespace].(*Component)
	if !ok {
		return nil, nil
	}
	return h.collect(ctx, c)
}

// PathPattern implements show.ShowHandler.
func (h handler) PathPattern() paths.Path { return paths.Path(h.path) }

// Dependencies implements show.ShowHandler.
func (handler) Dependencies() []paths.Path { return nil }

// Summary implements show.ShowSummaryHandler.
func (h handler) Summary() string { return h.summary }

func status(ctx context.Context, c *Component) (any, error) {
	s, err := c.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("show: %w", err)
	}
	shown := Status{
		Router: s.Name, Dataplane: s.Dataplane.Name, State: s.Dataplane.State, Ready: s.Ready, Problems: s.Problems,
		Desired: s.Softwires.Desired, Programmed: s.Softwires.Programmed,
		Pending: s.Softwires.Pending, Unsupported: s.Softwires.Unsupported, ProblemCount: len(s.Problems),
	}
	if s.Dataplane.State == "up" {
		shown.Up = 1
	}
	return &shown, nil
}

func pools(ctx context.Context, c *Component) (any, error) {
	all, err := c.Pools(ctx)
	if err != nil {
		return nil, fmt.Errorf("show: %w", err)
	}
	shown := make([]Pool, 0, len(all))
	for _, p := range all {
		line := Pool{Router: c.Name(), Name: p.Name, BR: p.BR.String(), Capacity: p.Capacity, Softwires: p.Softwires}
		if lent := p.Leases; lent != nil {
			line.Lendable, line.Bound = lent.Lendable, lent.Bound
		}
		shown = append(shown, line)
	}
	return shown, nil
}
