package source

import (
	"context"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// Local returns the softwires of the router in the same process, which keeps its
// leases in the server's store: what the server has to remember of a grant becomes
// durable with the lease.
func Local(p *provision.Provisioner) server.Softwires { return local{Leases(lender{p}), p} }

type local struct {
	server.Softwires
	provisioner *provision.Provisioner
}

// Acquire is as server.Softwires.Acquire.
func (l local) Acquire(ctx context.Context, w server.Want) (server.Grant, error) {
	return acquire(ctx, w, func(ctx context.Context, q lease.Request) (lease.Lease, error) {
		return l.provisioner.AcquireAlong(ctx, q, along(w))
	})
}

// along is what w has become durable along with a lease.
func along(w server.Want) provision.Along {
	if w.Along == nil {
		return nil
	}
	return func(l lease.Lease) ([]store.Value, func(error)) {
		g, err := granted(w, l)
		if err != nil {
			return nil, func(error) {} // the server is not granted that
		}
		return w.Along(g)
	}
}

// lender is a Provisioner as a Lender.
type lender struct{ *provision.Provisioner }

// Offer is as Lender.Offer.
func (l lender) Offer(_ context.Context, q lease.Request) (lease.Lease, error) {
	return l.Provisioner.Offer(q)
}
