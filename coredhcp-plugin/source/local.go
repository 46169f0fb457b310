package source

import (
	"context"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/provision"
)

// Local returns the softwires of the router in the same process.
func Local(p *provision.Provisioner) server.Softwires { return Leases(local{p}) }

type local struct{ *provision.Provisioner }

// Offer is as Lender.Offer.
func (l local) Offer(_ context.Context, q lease.Request) (lease.Lease, error) {
	return l.Provisioner.Offer(q)
}
