package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/server"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// Lender grants leases. Errors are those of package lease; any other one says that
// it is not decided or not done yet.
type Lender interface {
	Offer(ctx context.Context, q lease.Request) (lease.Lease, error)
	Acquire(ctx context.Context, q lease.Request) (lease.Lease, error)
	Release(ctx context.Context, q lease.Request) error
}

// leases is a server.Softwires of a Lender.
type leases struct{ lender Lender }

var _ server.Softwires = leases{}

// Leases returns the softwires of who grants leases.
func Leases(l Lender) server.Softwires { return leases{l} }

// Offer is as server.Softwires.Offer.
func (s leases) Offer(ctx context.Context, w server.Want) (server.Grant, error) {
	q, err := request(w)
	if err != nil {
		return server.Grant{}, err
	}
	l, err := s.lender.Offer(ctx, q)
	if err != nil {
		return foreign(err)
	}
	return granted(w, l)
}

// Acquire is as server.Softwires.Acquire.
func (s leases) Acquire(ctx context.Context, w server.Want) (server.Grant, error) {
	return acquire(ctx, w, s.lender.Acquire)
}

// acquire is server.Softwires.Acquire of who lends by a function.
func acquire(ctx context.Context, w server.Want, lend func(context.Context, lease.Request) (lease.Lease, error)) (server.Grant, error) {
	q, err := request(w)
	if err != nil {
		return server.Grant{}, err
	}
	l, err := lend(ctx, q)
	if err != nil {
		return foreign(err)
	}
	return granted(w, l)
}

// Release is as server.Softwires.Release.
func (s leases) Release(ctx context.Context, w server.Want) error {
	q, err := request(w)
	if err != nil {
		return err
	}
	err = s.lender.Release(ctx, q)
	if errors.Is(err, lease.ErrUnknown) || errors.Is(err, lease.ErrMechanism) {
		return nil
	}
	return err
}

// request is what w asks of a Lender.
func request(w server.Want) (lease.Request, error) {
	q := lease.Request{
		Prefix: w.Prefix, Subscriber: w.Prefix.Addr(), Mechanism: pool.DHCPv6, Pool: w.Pool, Lifetime: w.Lifetime, Want: w.Last.Key(),
	}
	var err error
	for _, a := range []struct {
		name  lease.Attribute
		value string
	}{{lease.DUID, w.DUID}, {lease.InterfaceID, w.InterfaceID}, {lease.RemoteID, w.RemoteID}} {
		if a.value == "" {
			continue
		}
		if q.Attributes, err = q.Attributes.With(a.name, a.value); err != nil {
			return q, err
		}
	}
	return q, nil
}

// granted is a lease as a server tells it.
func granted(w server.Want, l lease.Lease) (server.Grant, error) {
	return server.Grant{Softwire: l.Softwire, Expires: l.Expires}, alone(w, l)
}

// alone refuses a lease that others whose prefixes are near would share.
func alone(w server.Want, l lease.Lease) error {
	if l.Subscriber.Bits() < w.Prefix.Bits() {
		return fmt.Errorf("%w: pool %q takes all of %s for one subscriber: set its subscriber-prefix-len to %d or more", server.ErrNone, l.Pool, l.Subscriber, w.Prefix.Bits())
	}
	return nil
}

// foreign is what an error of a Lender means: that the subscriber has a softwire
// already, which is to be told (RFC 7596 section 7), that there is none, or what it
// is.
func foreign(err error) (server.Grant, error) {
	if held := new(lease.HeldError); errors.As(err, &held) {
		return server.Grant{Softwire: held.Lease.Softwire, Expires: held.Lease.Expires, Foreign: true}, nil
	}
	for _, none := range []error{lease.ErrExhausted, lease.ErrQuota, lease.ErrMechanism, lease.ErrPool, lease.ErrInvalid, lease.ErrAttributes} {
		if errors.Is(err, none) {
			return server.Grant{}, fmt.Errorf("%w: %w", server.ErrNone, err)
		}
	}
	return server.Grant{}, err
}
