package ports

import (
	"context"
	"fmt"
	"slices"

	"go.fd.io/govpp/api"
	interfaces "go.fd.io/govpp/binapi/interface"
)

// Remove takes away what Ensure gives to sides. That an interface is not there
// is no error. Interfaces stay switched on and keep their MTUs.
func Remove(ctx context.Context, conn api.Connection, instance string, sides ...Side) error {
	r := remover{newVPP(conn), mark(instance)}
	all, err := r.list(ctx)
	if err != nil {
		return err
	}
	for _, side := range sides {
		for _, c := range side.Interfaces {
			at := slices.IndexFunc(all, func(f found) bool { return f.name == c.Interface() })
			if at < 0 {
				continue
			}
			if err := r.port(ctx, side, c, all[at]); err != nil {
				return fmt.Errorf("interface %s: %w", c.Interface(), err)
			}
		}
		if err := r.table(ctx, side); err != nil {
			return fmt.Errorf("table %d of the %s side: %w", side.Table, side.Side, err)
		}
	}
	return nil
}

type remover struct {
	vpp
	mark string
}

// port takes away what an interface was given, and itself if it is ours.
func (r remover) port(ctx context.Context, side Side, c Config, f found) error {
	if c.NextHop.IsValid() {
		route := defaultRoute(side.Table, f.index, c.NextHop)
		has, err := r.routed(ctx, route)
		if err == nil && has {
			err = r.setRoute(ctx, false, route)
		}
		if err != nil {
			return fmt.Errorf("default route by %s: %w", c.NextHop, err)
		}
	}
	have, err := r.addresses(ctx, f.index, side.ip6())
	if err != nil {
		return err
	}
	for _, a := range c.Addresses {
		if !slices.Contains(have, a) {
			continue
		}
		if err := r.setAddress(ctx, false, f.index, a); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	if f.tag != r.mark {
		return r.release(ctx, side, f)
	}
	_, err = r.interfaces.DeleteSubif(ctx, &interfaces.DeleteSubif{SwIfIndex: f.index})
	return err
}

// release takes an interface out of a table that is ours, which goes. With
// addresses of the operator it stays there.
func (r remover) release(ctx context.Context, side Side, f found) error {
	name, _, err := r.tableName(ctx, side.ip6(), side.Table)
	if err != nil || name != r.mark {
		return err
	}
	have, err := r.addresses(ctx, f.index, side.ip6())
	if err != nil || len(have) > 0 {
		return err
	}
	_, err = r.interfaces.SwInterfaceSetTable(ctx, &interfaces.SwInterfaceSetTable{SwIfIndex: f.index, IsIPv6: side.ip6()})
	return err
}

// table takes the side's table away if it is ours. VPP keeps it as long as
// somebody else uses it.
func (r remover) table(ctx context.Context, side Side) error {
	name, there, err := r.tableName(ctx, side.ip6(), side.Table)
	if err != nil || !there || name != r.mark {
		return err
	}
	return r.setTable(ctx, false, side.ip6(), side.Table, name)
}
