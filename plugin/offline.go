package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

// Trace says what a router with f's Config would do with packet if it came in
// from side now. It reads the files of softwires that f names, and starts and
// opens nothing. Errors are those of Check.
func (f *File) Trace(ctx context.Context, now time.Time, side dataplane.Side, packet []byte) (api.Trace, error) {
	table, err := f.Check(ctx, nil)
	if err != nil {
		return api.Trace{}, err
	}
	fwd, err := forwarder.New(f.Config.Dataplane.Forwarder.Config, noDevices{})
	if err != nil {
		return api.Trace{}, err
	}
	if err := fwd.Configure(ctx, networkOf(f.Config, table.Snapshot())); err != nil {
		return api.Trace{}, err
	}
	var ops []dataplane.Op
	for s := range table.Snapshot().All() {
		ops = append(ops, dataplane.Op{Kind: dataplane.Put, Softwire: s})
	}
	results, err := fwd.Apply(ctx, ops)
	if err != nil {
		return api.Trace{}, err
	}
	for i, r := range results {
		if r.Outcome != dataplane.Programmed {
			return api.Trace{}, fmt.Errorf("softwire %s: %w", ops[i].Softwire.Key(), r.Err)
		}
	}
	return traceOf(fwd.Trace(now, side, packet)), nil
}

// noDevices is the IO of a forwarder that only traces.
type noDevices struct{}

var errNoDevices = errors.New("there are no devices")

// Run implements forwarder.IO.
func (noDevices) Run(context.Context, func() *forwarder.Worker) error { return errNoDevices }

// Send implements forwarder.IO.
func (noDevices) Send(context.Context, dataplane.Side, []byte) error { return errNoDevices }
