package server

import (
	"context"
	"errors"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/config/element"
)

// CheckNames reports the names of AFTRs that do not resolve to the BR address of
// their pool, and to that alone, with elements such as "pools[0].aftr-name". lookup
// is that of a net.Resolver. It waits until ctx ends.
func CheckNames(ctx context.Context, pools []Pool, lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)) error {
	var errs []error
	for i, p := range pools {
		if p.AFTRName == "" {
			continue
		}
		at := element.Item("pools", i) + ".aftr-name"
		found, err := lookup(ctx, "ip6", p.AFTRName)
		if err != nil {
			errs = append(errs, element.At(at, err))
		}
		for _, a := range found {
			if a != p.BR {
				errs = append(errs, element.Errorf(at, "%s is %s, and the pool's BR address %s", p.AFTRName, a, p.BR))
			}
		}
	}
	return errors.Join(errs...)
}
