package control

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Lending is what a router that lends port sets has besides.
type Lending struct {
	Leases Leases
	Pools  PoolKeeper
	Backup Backuper
}

// Backuper writes a copy of what must outlast the process.
type Backuper interface {
	Backup(ctx context.Context, w io.Writer) error
}

// Leases decides and knows who holds which port set; *provision.Provisioner is
// one. Errors are those of packages lease and provision.
type Leases interface {
	Offer(q lease.Request) (lease.Lease, error)
	Acquire(ctx context.Context, q lease.Request) (lease.Lease, error)
	Renew(ctx context.Context, q lease.Request) (lease.Lease, error)
	Release(ctx context.Context, q lease.Request) error
	Remove(ctx context.Context, k softwire.Key, reason string) error
	Move(ctx context.Context, k softwire.Key, q lease.Request) (lease.Lease, error)
	Reserve(ctx context.Context, q lease.Request) (lease.Lease, error)
	Unreserve(ctx context.Context, k softwire.Key) (lease.Lease, error)

	// Lease is the lease of a port set.
	Lease(k softwire.Key) (lease.Lease, bool)
	// Subscriber is every lease of the subscriber with that address.
	Subscriber(addr netip.Addr) []lease.Lease
	// List returns the first n leases behind after that match, ordered by
	// Key.Compare; behind the zero Key are all.
	List(after softwire.Key, n int, match func(lease.Lease) bool) []lease.Lease
}

// PoolKeeper changes pools while the router runs. Errors are those of packages
// lease and provision.
type PoolKeeper interface {
	AddPool(ctx context.Context, p pool.Pool) error
	RemovePool(ctx context.Context, name string) error
	DrainPool(ctx context.Context, name string, drain bool) error
}

// handleLending adds what only a router that lends port sets has.
func (s *Server) handleLending(mux *http.ServeMux, handle func(method, path string, parameters []string, f handler)) {
	lending := s.router.Lending
	if lending == nil {
		for _, path := range []string{api.PathLeases, api.PathLeases + "/", api.PathPools + "/", api.PathBackup} {
			mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
				s.fail(w, r, &api.Error{Status: http.StatusNotImplemented, Message: "this router lends no port sets: its configuration has no store"})
			})
		}
		return
	}
	handle(http.MethodGet, api.PathLeases, leaseParameters(), s.leases)
	for path, f := range map[string]func(context.Context, lease.Request) (lease.Lease, error){
		api.PathLeaseOffer: func(_ context.Context, q lease.Request) (lease.Lease, error) {
			return lending.Leases.Offer(q)
		},
		api.PathLeaseAcquire: lending.Leases.Acquire,
		api.PathLeaseRenew:   lending.Leases.Renew,
		api.PathLeaseReserve: lending.Leases.Reserve,
	} {
		handle(http.MethodPost, path, nil, s.asking(f))
	}
	handle(http.MethodPost, api.PathLeaseRelease, nil, s.release)
	handle(http.MethodPost, api.PathLeaseRemove, nil, s.remove)
	handle(http.MethodPost, api.PathLeaseUnreserve, nil, s.unreserve)
	handle(http.MethodGet, api.PathLeaseStream, nil, s.streaming)
	handle(http.MethodPost, api.PathLeaseMove, nil, s.move)
	handle(http.MethodPost, api.PathPoolAdd, nil, s.pooling(s.addPool))
	handle(http.MethodPost, api.PathPoolRemove, nil, s.pooling(func(ctx context.Context, in api.PoolRequest) error {
		return lending.Pools.RemovePool(ctx, in.Name)
	}))
	handle(http.MethodPost, api.PathPoolDrain, nil, s.pooling(func(ctx context.Context, in api.PoolRequest) error {
		return lending.Pools.DrainPool(ctx, in.Name, !in.Stop)
	}))
	handle(http.MethodPost, api.PathBackup, nil, func(r *http.Request, _ url.Values) (any, error) {
		return func(w io.Writer) error { return lending.Backup.Backup(r.Context(), w) }, nil
	})
}
