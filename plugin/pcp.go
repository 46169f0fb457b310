package plugin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/pcp"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/store/history"
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
	var err error
	if run.epoch, err = loadPCPEpoch(ctx, run.store, p.now); err != nil {
		return fmt.Errorf("the epoch of PCP: %w", err)
	}
	grants := pcpGrants{leases: run.leases, pools: p.pools, now: p.now}
	server, err := pcp.New(p.config.PCP, grants, run.epoch.Epoch, p.now)
	if err != nil {
		return &ConfigError{element.At("pcp", err)}
	}
	run.pcp = server
	transports, err := p.openPCP(ctx)
	if err != nil {
		return err
	}
	r.closing(transports.close)
	// From before the first client can get a lease that is then removed.
	watch := run.leases.Watch(noticeBacklog)
	transports.serve(ctx, r, server)
	r.run(ctx, "pcp updates", func(ctx context.Context) error {
		return p.informPCP(ctx, run.leases, watch, server, transports)
	})
	r.run(ctx, "pcp announcements", func(ctx context.Context) error { return p.announcePCP(ctx, run, server, transports) })
	return nil
}

// ErrNoPCP reports a router that does not serve PCP.
var ErrNoPCP = errors.New("PCP is not served: set pcp.enabled in the configuration")

// noticeBacklog is how many changes of leases may wait until clients are told.
const noticeBacklog = 4096

// informPCP has clients told of changes that they did not ask for: those that watch
// notices, which it closes, and later ones.
func (p *Plugin) informPCP(ctx context.Context, leases *provision.Provisioner, watch *provision.Watch, server *pcp.Server, to pcp.Sender) error {
	for ; ; watch = leases.Watch(noticeBacklog) {
		changes := make(chan pcp.Change)
		group, inner := errgroup.WithContext(ctx)
		group.Go(func() error {
			defer close(changes)
			pcpChanges(inner, leases, watch.Notices(), changes)
			return nil
		})
		group.Go(func() error { return server.Inform(inner, changes, to) })
		err := group.Wait()
		watch.Close()
		if err != nil || ctx.Err() != nil {
			return err
		}
		p.log.WithField("part", "pcp").Warn("many leases changed at once; looking for those that moved")
	}
}

// pcpChanges hands on what clients do not know yet of moves before it, and what
// notices say about PCP, until there are none any more.
func pcpChanges(ctx context.Context, leases *provision.Provisioner, notices <-chan provision.Notice, changes chan<- pcp.Change) {
	hand := func(c pcp.Change) bool {
		select {
		case changes <- c:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for from := range leases.All() {
		if from.State != lease.Bound || !from.Moved || from.Mechanism != pool.PCP {
			continue
		}
		for _, l := range leases.Subscriber(from.Softwire.B4) {
			if l.State == lease.Bound && !l.Moved && l.Number == from.Number && !hand(pcp.Change{From: pcpBinding(from), To: pcpBinding(l)}) {
				return
			}
		}
	}
	for {
		select {
		case n, ok := <-notices:
			if !ok {
				return
			}
			if c, ok := pcpChange(n); ok && !hand(c) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// pcpChange is what a client does not know that a notice tells of; not ok if there
// is nothing. That its lease has expired, and what it did itself, it knows.
func pcpChange(n provision.Notice) (c pcp.Change, ok bool) {
	switch {
	case n.Lease.Mechanism != pool.PCP:
	case n.From.State != 0:
		return pcp.Change{From: pcpBinding(n.From), To: pcpBinding(n.Lease)}, true
	case n.Kind == history.Removed:
		had := n.Lease
		had.Attributes = n.Attributes
		return pcp.Change{From: pcpBinding(had)}, true
	}
	return pcp.Change{}, false
}

// pools are those of the configuration and those that were added.
func (p *Plugin) pools() pool.Pools {
	c, added := p.wanted()
	return c.with(added).Pools
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
