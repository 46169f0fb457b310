package plugin

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/pcp"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/bolt"
)

// servesPCP reports what is wrong with PCP in c as a whole.
func (c Config) servesPCP() error {
	var errs []error
	if c.PCP.Enabled && c.Store.Path == "" {
		errs = append(errs, element.Errorf("pcp.enabled", "leases need a file: set store.path"))
	}
	errs = append(errs, c.listensForPCP())
	for i, p := range c.Pools {
		// RFC 7753 has no way to tell a set of several blocks.
		if p.Allows(pool.PCP) && p.PSIDOffset != 0 && p.PSIDLen != 0 {
			errs = append(errs, element.Errorf(element.Item("pools", i)+".psid-offset",
				"%d: PCP gives ports that follow each other: set it to 0", p.PSIDOffset))
		}
	}
	return errors.Join(errs...)
}

// listensForPCP refuses sockets at addresses that are the data plane's.
func (c Config) listensForPCP() error {
	var errs []error
	for i, l := range c.PCP.Listen {
		at := "pcp." + element.Item("listen", i) + ".address"
		if p, ok := c.Pools.Index().Find(l.Address); ok {
			errs = append(errs, element.Errorf(at, "%s is in pool %q: nothing answers on the IPv4 side", l.Address, p.Name))
		}
		if slices.ContainsFunc(c.Pools, func(p pool.Pool) bool { return p.BR == l.Address }) {
			errs = append(errs, element.Errorf(at, "%s is a BR address, which the data plane serves anyway", l.Address))
		}
	}
	return errors.Join(errs...)
}

// startPCP has r run the PCP server, if the configuration has one. The store and
// the leases run.
func (p *Plugin) startPCP(ctx context.Context, r *runner, run *running) error {
	if !p.config.PCP.Enabled {
		return nil
	}
	epoch, err := pcpEpoch(ctx, run.store, p.now())
	if err != nil {
		return fmt.Errorf("the epoch of PCP: %w", err)
	}
	grants := pcpGrants{leases: run.leases, pools: p.pools, now: p.now}
	server, err := pcp.New(p.config.PCP, grants, epoch, p.now)
	if err != nil {
		return &ConfigError{element.At("pcp", err)}
	}
	run.pcp = server
	transports, err := p.openPCP(ctx)
	if err != nil {
		return err
	}
	r.closing(transports.close)
	transports.serve(ctx, r, server)
	r.run(ctx, "pcp updates", func(ctx context.Context) error { return p.informPCP(ctx, run.leases, server, transports) })
	return nil
}

// noticeBacklog is how many changes of leases may wait until clients are told.
const noticeBacklog = 4096

// informPCP has clients told of changes that they did not ask for.
func (p *Plugin) informPCP(ctx context.Context, leases *provision.Provisioner, server *pcp.Server, to pcp.Sender) error {
	for {
		watch := leases.Watch(noticeBacklog)
		changes := make(chan pcp.Change)
		group, inner := errgroup.WithContext(ctx)
		group.Go(func() error {
			defer close(changes)
			pcpChanges(inner, watch.Notices(), changes)
			return nil
		})
		group.Go(func() error { return server.Inform(inner, changes, to) })
		err := group.Wait()
		watch.Close()
		if err != nil || ctx.Err() != nil {
			return err
		}
		p.log.WithField("part", "pcp").Warn("too many leases changed at once; some clients learn of it when they renew")
	}
}

// pcpChanges hands on what notices say about PCP, until there are none any more.
func pcpChanges(ctx context.Context, notices <-chan provision.Notice, changes chan<- pcp.Change) {
	for {
		var c pcp.Change
		select {
		case n, ok := <-notices:
			switch {
			case !ok:
				return
			case n.Lease.Mechanism != pool.PCP:
				continue
			case n.From.State != 0:
				c = pcp.Change{From: pcpBinding(n.From), To: pcpBinding(n.Lease)}
			case n.Lease.State != lease.Bound:
				c = pcp.Change{From: pcpBinding(n.Lease)}
			default:
				continue
			}
		case <-ctx.Done():
			return
		}
		select {
		case changes <- c:
		case <-ctx.Done():
			return
		}
	}
}

// pools are those of the configuration and those that were added.
func (p *Plugin) pools() pool.Pools {
	c, added := p.wanted()
	return c.with(added).Pools
}

// pcpState is the collection of the store with what PCP has to remember besides
// leases, and epochKey the key of the time that its epoch counts from: when the
// store was new. A store that is lost takes the leases and the epoch with it,
// which is how clients learn of it (RFC 6887 section 8.5).
const (
	pcpState = "pcp"
	epochKey = "epoch"
)

// pcpEpoch returns the epoch time as a function of the time. Once it is known it
// counts seconds that really pass, whatever becomes of the time of day.
func pcpEpoch(ctx context.Context, st *bolt.Store, now time.Time) (func(time.Time) uint32, error) {
	began := now.Unix()
	found := false
	for v, err := range st.Values(ctx, pcpState) {
		if err != nil {
			return nil, err
		}
		if v.Key == epochKey {
			if len(v.Data) != 8 {
				return nil, fmt.Errorf("%w: %d octets", store.ErrCorrupt, len(v.Data))
			}
			began, found = int64(binary.BigEndian.Uint64(v.Data)), true
		}
	}
	if !found {
		data := binary.BigEndian.AppendUint64(nil, uint64(began))
		if err := st.Commit(ctx, store.Batch{Values: []store.Value{{Collection: pcpState, Key: epochKey, Data: data}}}); err != nil {
			return nil, err
		}
	}
	start := max(now.Unix()-began, 0)
	return func(at time.Time) uint32 { return uint32(start + int64(at.Sub(now)/time.Second)) }, nil
}

// pcpEvents are the counters of the PCP server: one for each result that it has
// answered with, in order.
func pcpEvents(c pcp.Counts) []api.Event {
	var events []api.Event
	for _, result := range slices.Sorted(maps.Keys(c.Answered)) {
		name := strings.ReplaceAll(strings.ToLower(result.String()), "_", "-")
		events = append(events, api.Event{
			Name: "pcp-" + name, Meaning: "PCP requests answered " + result.String(), Packets: c.Answered[result],
		})
	}
	return append(events,
		api.Event{Name: "pcp-dropped", Meaning: "PCP requests not answered", Drop: true, Packets: c.Dropped},
		api.Event{Name: "pcp-unsent", Meaning: "PCP answers that could not be sent", Drop: true, Packets: c.Unsent})
}
