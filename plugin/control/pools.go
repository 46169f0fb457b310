package control

import (
	"context"
	"net/http"
	"net/url"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/pool"
)

// pooling answers a request whose body is a PoolRequest.
func (s *Server) pooling(f func(context.Context, api.PoolRequest) error) handler {
	return func(r *http.Request, _ url.Values) (any, error) {
		var in api.PoolRequest
		if err := decode(r, &in); err != nil {
			return nil, err
		}
		if err := f(r.Context(), in); err != nil {
			return nil, leaseError(err)
		}
		return struct{}{}, nil
	}
}

func (s *Server) addPool(ctx context.Context, in api.PoolRequest) error {
	p := pool.Pool{
		Name: in.Name, Prefixes: in.Prefixes, PSIDOffset: in.PSIDOffset, PSIDLen: in.PSIDLen, BR: in.BR,
	}
	p.SetDefaults()
	for _, m := range in.Mechanisms {
		p.Mechanisms = append(p.Mechanisms, pool.Mechanism(m))
	}
	return s.router.Lending.Pools.AddPool(ctx, p)
}
