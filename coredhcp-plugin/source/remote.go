package source

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/control/stream"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Remote is a router elsewhere as a Lender, over its control API: one connection for
// all requests, or a call for each if the router does not know that.
type Remote struct {
	client *api.Client
	stream *stream.Client
}

// NewRemote returns the router that c is a client of. It needs Run.
func NewRemote(c *api.Client) *Remote {
	return &Remote{client: c, stream: stream.NewClient(func(ctx context.Context) (io.ReadWriteCloser, error) {
		return c.Upgrade(ctx, api.PathLeaseStream, stream.Protocol)
	})}
}

// Run keeps the connection until ctx ends, and then returns nil. It is called once.
func (r *Remote) Run(ctx context.Context) error { return r.stream.Run(ctx) }

// Offer is as Lender.Offer.
func (r *Remote) Offer(ctx context.Context, q lease.Request) (lease.Lease, error) {
	return r.ask(ctx, q, r.stream.Offer, r.client.Offer)
}

// Acquire is as Lender.Acquire.
func (r *Remote) Acquire(ctx context.Context, q lease.Request) (lease.Lease, error) {
	return r.ask(ctx, q, r.stream.Acquire, r.client.Acquire)
}

// Release is as Lender.Release.
func (r *Remote) Release(ctx context.Context, q lease.Request) error {
	err := r.stream.Release(ctx, q)
	if errors.Is(err, stream.ErrRefused) {
		err = r.client.Release(ctx, toAPI(q))
	}
	return leaseError(err)
}

func (r *Remote) ask(ctx context.Context, q lease.Request,
	onStream func(context.Context, lease.Request) (lease.Lease, error),
	call func(context.Context, api.LeaseRequest) (api.Lease, error),
) (lease.Lease, error) {
	l, err := onStream(ctx, q)
	if errors.Is(err, stream.ErrRefused) {
		var a api.Lease
		if a, err = call(ctx, toAPI(q)); err == nil {
			l, err = fromAPI(a)
		}
	}
	if errors.Is(err, api.CodeMechanism) {
		err = r.held(ctx, q, err)
	}
	return l, leaseError(err)
}

// held is why a mechanism was refused: the *lease.HeldError, if the subscriber has
// a lease of another one.
func (r *Remote) held(ctx context.Context, q lease.Request, refused error) error {
	filter := api.LeaseFilter{Subscriber: q.Subscriber, State: lease.Bound.String()}
	for a, err := range r.client.Leases(ctx, filter) {
		if err != nil {
			return err
		}
		if a.Moved || pool.Mechanism(a.Mechanism) == q.Mechanism {
			continue
		}
		l, err := fromAPI(a)
		if err != nil {
			return err
		}
		return &lease.HeldError{Lease: l}
	}
	return refused
}

func toAPI(q lease.Request) api.LeaseRequest {
	out := api.LeaseRequest{
		B4: q.B4, Prefix: q.Prefix, Subscriber: q.Subscriber, Mechanism: string(q.Mechanism), Number: q.Number,
		Pool: q.Pool, Ports: q.Ports, Lifetime: uint32(q.Lifetime / time.Second),
	}
	if q.Want != (softwire.Key{}) {
		want := api.FromKey(q.Want)
		out.Want = &want
	}
	for name, key := range map[lease.Attribute]string{
		lease.DUID: "duid", lease.InterfaceID: "interface-id", lease.RemoteID: "remote-id",
	} {
		if value, ok := q.Attributes.Get(name); ok {
			if out.Attributes == nil {
				out.Attributes = make(map[string]string)
			}
			out.Attributes[key] = hex.EncodeToString([]byte(value))
		}
	}
	return out
}

// fromAPI is what a server needs of a lease.
func fromAPI(a api.Lease) (lease.Lease, error) {
	key, err := a.Key.Key()
	if err != nil {
		return lease.Lease{}, fmt.Errorf("the router's answer: %w", err)
	}
	l := lease.Lease{
		Softwire:   softwire.Softwire{IPv4: key.IPv4, PortSet: key.PortSet, B4: a.B4, BR: a.BR},
		Subscriber: a.Subscriber, Pool: a.Pool, Mechanism: pool.Mechanism(a.Mechanism), Configured: a.Configured,
	}
	if a.Expires != nil {
		l.Expires = *a.Expires
	}
	return l, nil
}

// leaseError is an error of the API as one of package lease, where it is one.
func leaseError(err error) error {
	if err == nil {
		return nil
	}
	for _, e := range []struct {
		code api.Code
		as   error
	}{
		{api.CodeExhausted, lease.ErrExhausted},
		{api.CodeQuota, lease.ErrQuota},
		{api.CodeMechanism, lease.ErrMechanism},
		{api.CodeTaken, lease.ErrTaken},
		{api.CodeUnknown, lease.ErrUnknown},
		{api.CodeInvalid, lease.ErrInvalid},
	} {
		if errors.Is(err, e.code) {
			return fmt.Errorf("%w: %w", e.as, err)
		}
	}
	return err
}
