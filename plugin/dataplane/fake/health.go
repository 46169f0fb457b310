package fake

import (
	"context"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// WaitHealth waits for what Lose, Disconnect, Reconnect and SetState do.
func (d *Dataplane) WaitHealth(ctx context.Context, known dataplane.Health) (dataplane.Health, error) {
	return d.health.Wait(ctx, known)
}

// Lose forgets everything, as a restart does, and begins a new incarnation.
func (d *Dataplane) Lose() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.network = nil
	d.bindings = make(map[netip.Addr]map[portset.PortSet]softwire.Softwire)
	d.count = 0
	d.counters = dataplane.Counters{Granularity: d.counters.Granularity}
	d.rows = nil
	d.latest++
	d.health.Set(dataplane.Health{State: dataplane.StateUp, Incarnation: d.latest})
}

// Disconnect makes the data plane unreachable, keeping what it holds.
func (d *Dataplane) Disconnect(reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.health.Set(dataplane.Health{State: dataplane.StateDown, Reason: reason})
}

// Reconnect ends a Disconnect after which nothing was lost.
func (d *Dataplane) Reconnect() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.health.Set(dataplane.Health{State: dataplane.StateUp, Incarnation: d.latest})
}

// SetState changes whether the data plane forwards; it can be programmed all
// the same.
func (d *Dataplane) SetState(state dataplane.State, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.health.Set(dataplane.Health{State: state, Incarnation: d.latest, Reason: reason})
}
