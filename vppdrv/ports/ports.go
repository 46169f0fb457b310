package ports

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.fd.io/govpp/api"
	interfaces "go.fd.io/govpp/binapi/interface"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Errors that calls wrap.
var (
	// ErrNotThere reports an interface that VPP does not have.
	ErrNotThere = errors.New("VPP has no such interface")
	// ErrRefused reports what VPP does not let be done with an interface.
	ErrRefused = errors.New("VPP refuses")
)

// Port is an interface that was found.
type Port struct {
	Side  dataplane.Side
	Index Index
	Name  string
}

// Ensure makes sides what they should be and returns their interfaces. It only
// changes what is not so. Errors name the interface and wrap ErrNotThere or
// ErrRefused where these are the cause.
func Ensure(ctx context.Context, conn api.Connection, instance string, sides ...Side) ([]Port, error) {
	e := ensurer{vpp: newVPP(conn), mark: mark(instance)}
	var ports []Port
	for _, side := range sides {
		if err := e.table(ctx, side); err != nil {
			return nil, fmt.Errorf("table %d of the %s side: %w", side.Table, side.Side, err)
		}
		for _, c := range side.Interfaces {
			i, err := e.port(ctx, side, c)
			if err != nil {
				return nil, fmt.Errorf("interface %s: %w", c.Interface(), err)
			}
			ports = append(ports, Port{side.Side, i, c.Interface()})
		}
	}
	return ports, nil
}

// ensurer does what Ensure does.
type ensurer struct {
	vpp
	mark string
	all  []found // as last read; nil if they have to be read
}

// find returns the interface of a name.
func (e *ensurer) find(ctx context.Context, name string) (found, error) {
	if e.all == nil {
		var err error
		if e.all, err = e.list(ctx); err != nil {
			return found{}, err
		}
	}
	i := slices.IndexFunc(e.all, func(f found) bool { return f.name == name })
	if i < 0 {
		return found{}, fmt.Errorf("%w as %s, only %s", ErrNotThere, name, names(e.all))
	}
	return e.all[i], nil
}

// table makes the FIB table of a side if it is not there.
func (e *ensurer) table(ctx context.Context, side Side) error {
	_, there, err := e.tableName(ctx, side.ip6(), side.Table)
	if err != nil || there {
		return err
	}
	return e.setTable(ctx, true, side.ip6(), side.Table, e.mark)
}

func (e *ensurer) port(ctx context.Context, side Side, c Config) (Index, error) {
	f, err := e.find(ctx, c.Name)
	if err != nil {
		return 0, err
	}
	if err := e.up(ctx, f); err != nil {
		return 0, err
	}
	if c.VLAN != 0 {
		if f, err = e.vlan(ctx, f, c); err != nil {
			return 0, err
		}
		if err := e.up(ctx, f); err != nil {
			return 0, err
		}
	}
	for _, step := range []func(context.Context, found, Side, Config) error{e.bind, e.carry, e.address, e.route} {
		if err := step(ctx, f, side, c); err != nil {
			return 0, err
		}
	}
	return f.index, nil
}

func (e *ensurer) up(ctx context.Context, f found) error {
	if f.admin {
		return nil
	}
	e.all = nil
	if err := e.switchOn(ctx, f.index); err != nil {
		return fmt.Errorf("%w to switch it on: %w", ErrRefused, err)
	}
	return nil
}

// vlan returns the sub-interface of f.
func (e *ensurer) vlan(ctx context.Context, f found, c Config) (found, error) {
	sub, err := e.find(ctx, c.Interface())
	if !errors.Is(err, ErrNotThere) {
		return sub, err
	}
	e.all = nil
	made, err := e.interfaces.CreateVlanSubif(ctx, &interfaces.CreateVlanSubif{SwIfIndex: f.index, VlanID: uint32(c.VLAN)})
	if err != nil {
		return found{}, fmt.Errorf("%w to make VLAN %d: %w", ErrRefused, c.VLAN, err)
	}
	_, err = e.interfaces.SwInterfaceTagAddDel(ctx, &interfaces.SwInterfaceTagAddDel{IsAdd: true, SwIfIndex: made.SwIfIndex, Tag: e.mark})
	if err != nil {
		return found{}, err
	}
	return e.find(ctx, c.Interface())
}

// bind puts the interface into the side's table.
func (e *ensurer) bind(ctx context.Context, f found, side Side, _ Config) error {
	now, err := e.interfaces.SwInterfaceGetTable(ctx, &interfaces.SwInterfaceGetTable{SwIfIndex: f.index, IsIPv6: side.ip6()})
	if err != nil || now.VrfID == side.Table {
		return err
	}
	_, err = e.interfaces.SwInterfaceSetTable(ctx, &interfaces.SwInterfaceSetTable{SwIfIndex: f.index, IsIPv6: side.ip6(), VrfID: side.Table})
	if errors.Is(err, api.ADDRESS_FOUND_FOR_INTERFACE) {
		return fmt.Errorf("it has addresses in table %d, and the %s side is in table %d", now.VrfID, side.Side, side.Table)
	}
	return err
}

// carry makes the side's MTU that of the interface. What it cannot carry is an
// error: VPP tells nobody of tunnel packets that are too long for the link.
func (e *ensurer) carry(ctx context.Context, f found, side Side, _ Config) error {
	place, key := mtuIP4, "ipv4-mtu"
	if side.ip6() {
		place, key = mtuIP6, "tunnel-mtu"
	}
	most := f.mtus[mtuAny]
	if most == 0 {
		most = uint32(f.linkMTU)
	}
	want := uint32(side.MTU)
	switch {
	case most != 0 && want > most:
		return fmt.Errorf("it carries packets of %d octets, and %s is %d: lower %s, or raise the interface's MTU (VPP: set interface mtu packet %[3]d %[5]s)",
			most, key, want, key, f.name)
	case f.mtus[place] == want, f.mtus[place] == 0 && most == want:
		return nil
	}
	e.all = nil
	mtus := f.mtus
	mtus[place] = want
	if _, err := e.interfaces.SwInterfaceSetMtu(ctx, &interfaces.SwInterfaceSetMtu{SwIfIndex: f.index, Mtu: mtus[:]}); err != nil {
		return fmt.Errorf("%w MTU %d: %w", ErrRefused, want, err)
	}
	return nil
}

func (e *ensurer) address(ctx context.Context, f found, side Side, c Config) error {
	have, err := e.addresses(ctx, f.index, side.ip6())
	if err != nil {
		return err
	}
	for _, a := range c.Addresses {
		if slices.Contains(have, a) {
			continue
		}
		if err := e.setAddress(ctx, true, f.index, a); err != nil {
			return fmt.Errorf("%w address %s: %w", ErrRefused, a, err)
		}
	}
	return nil
}

func (e *ensurer) route(ctx context.Context, f found, side Side, c Config) error {
	if !c.NextHop.IsValid() {
		return nil
	}
	route := defaultRoute(side.Table, f.index, c.NextHop)
	has, err := e.routed(ctx, route)
	if err == nil && !has {
		err = e.setRoute(ctx, true, route)
	}
	if err != nil {
		return fmt.Errorf("default route by %s: %w", c.NextHop, err)
	}
	return nil
}

// State is how an interface is.
type State struct {
	Port
	Admin, Link bool // switched on, and with a link
}

// States returns how ports are. One that VPP no longer has is neither.
func States(ctx context.Context, conn api.Connection, ports []Port) ([]State, error) {
	all, err := newVPP(conn).list(ctx)
	if err != nil {
		return nil, err
	}
	states := make([]State, len(ports))
	for i, p := range ports {
		states[i] = State{Port: p}
		if at := slices.IndexFunc(all, func(f found) bool { return f.index == p.Index && f.name == p.Name }); at >= 0 {
			states[i].Admin, states[i].Link = all[at].admin, all[at].link
		}
	}
	return states, nil
}
