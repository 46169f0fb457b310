package ports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"go.fd.io/govpp/api"
	"go.fd.io/govpp/binapi/fib_types"
	interfaces "go.fd.io/govpp/binapi/interface"
	"go.fd.io/govpp/binapi/interface_types"
	"go.fd.io/govpp/binapi/ip"
	"go.fd.io/govpp/binapi/ip_types"
)

// Index is a number by which VPP knows an interface.
type Index = interface_types.InterfaceIndex

// Messages are what this package needs VPP to know.
func Messages() []api.Message {
	return []api.Message{
		&interfaces.SwInterfaceDump{}, &interfaces.SwInterfaceSetFlags{}, &interfaces.SwInterfaceGetTable{},
		&interfaces.SwInterfaceSetTable{}, &interfaces.SwInterfaceSetMtu{}, &interfaces.SwInterfaceAddDelAddress{},
		&interfaces.CreateVlanSubif{}, &interfaces.DeleteSubif{}, &interfaces.SwInterfaceTagAddDel{},
		&ip.IPTableDump{}, &ip.IPTableAddDel{}, &ip.IPAddressDump{}, &ip.IPRouteLookup{}, &ip.IPRouteAddDel{},
	}
}

// vpp is the calls that are made, with neutral types.
type vpp struct {
	interfaces interfaces.RPCService
	ip         ip.RPCService
}

func newVPP(conn api.Connection) vpp {
	return vpp{interfaces.NewServiceClient(conn), ip.NewServiceClient(conn)}
}

// found is an interface of VPP.
type found struct {
	index     Index
	name, tag string
	admin     bool // switched on
	link      bool
	mtus      [4]uint32
	linkMTU   uint16
}

// The places in found.mtus: for all packets, and where that is not zero in its
// place for those of one protocol.
const (
	mtuAny = iota
	mtuIP4
	mtuIP6
)

// list reads all interfaces.
func (v vpp) list(ctx context.Context) (all []found, err error) {
	dump, err := v.interfaces.SwInterfaceDump(ctx, &interfaces.SwInterfaceDump{SwIfIndex: ^Index(0)})
	if err != nil {
		return nil, err
	}
	for d, err := range received(dump.Recv) {
		if err != nil {
			return nil, err
		}
		f := found{
			index: d.SwIfIndex, name: text(d.InterfaceName), tag: text(d.Tag), linkMTU: d.LinkMtu,
			admin: d.Flags&interface_types.IF_STATUS_API_FLAG_ADMIN_UP != 0,
			link:  d.Flags&interface_types.IF_STATUS_API_FLAG_LINK_UP != 0,
		}
		copy(f.mtus[:], d.Mtu)
		all = append(all, f)
	}
	return all, nil
}

// received yields what a dump answers.
func received[T any](recv func() (T, error)) func(yield func(T, error) bool) {
	return func(yield func(T, error) bool) {
		for {
			d, err := recv()
			if errors.Is(err, io.EOF) || !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// text is a string of VPP without what follows its end.
func text(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

func (v vpp) switchOn(ctx context.Context, i Index) error {
	_, err := v.interfaces.SwInterfaceSetFlags(ctx, &interfaces.SwInterfaceSetFlags{
		SwIfIndex: i, Flags: interface_types.IF_STATUS_API_FLAG_ADMIN_UP,
	})
	return err
}

// tableName returns the name of a FIB table, and false if there is none of that
// number.
func (v vpp) tableName(ctx context.Context, ip6 bool, table uint32) (name string, there bool, err error) {
	dump, err := v.ip.IPTableDump(ctx, &ip.IPTableDump{})
	if err != nil {
		return "", false, err
	}
	for d, err := range received(dump.Recv) {
		if err != nil {
			return "", false, err
		}
		if d.Table.IsIP6 == ip6 && d.Table.TableID == table {
			name, there = text(d.Table.Name), true
		}
	}
	return name, there, nil
}

func (v vpp) setTable(ctx context.Context, add, ip6 bool, table uint32, name string) error {
	_, err := v.ip.IPTableAddDel(ctx, &ip.IPTableAddDel{IsAdd: add, Table: ip.IPTable{TableID: table, IsIP6: ip6, Name: name}})
	return err
}

// addresses are those that an interface has.
func (v vpp) addresses(ctx context.Context, i Index, ip6 bool) (all []netip.Prefix, err error) {
	dump, err := v.ip.IPAddressDump(ctx, &ip.IPAddressDump{SwIfIndex: i, IsIPv6: ip6})
	if err != nil {
		return nil, err
	}
	for d, err := range received(dump.Recv) {
		if err != nil {
			return nil, err
		}
		a, err := netip.ParsePrefix(d.Prefix.String())
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func (v vpp) setAddress(ctx context.Context, add bool, i Index, a netip.Prefix) error {
	p, err := ip_types.ParseAddressWithPrefix(a.String())
	if err != nil {
		return err
	}
	_, err = v.interfaces.SwInterfaceAddDelAddress(ctx, &interfaces.SwInterfaceAddDelAddress{IsAdd: add, SwIfIndex: i, Prefix: p})
	return err
}

// defaultRoute is the route to everything by a neighbour on an interface.
func defaultRoute(table uint32, i Index, hop netip.Addr) ip.IPRoute {
	prefix, path := ip_types.Prefix{}, fib_types.FibPath{SwIfIndex: uint32(i), Weight: 1}
	if hop.Is6() {
		prefix.Address.Af, path.Proto = ip_types.ADDRESS_IP6, fib_types.FIB_API_PATH_NH_PROTO_IP6
		path.Nh.Address.SetIP6(hop.As16())
	} else {
		path.Nh.Address.SetIP4(hop.As4())
	}
	return ip.IPRoute{TableID: table, Prefix: prefix, Paths: []fib_types.FibPath{path}}
}

// routed reports whether VPP has a path of route, which has one.
func (v vpp) routed(ctx context.Context, route ip.IPRoute) (bool, error) {
	const exact = 1
	reply, err := v.ip.IPRouteLookup(ctx, &ip.IPRouteLookup{TableID: route.TableID, Exact: exact, Prefix: route.Prefix})
	if errors.Is(err, api.NO_SUCH_ENTRY) || errors.Is(err, api.NO_SUCH_FIB) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	want := route.Paths[0]
	return slices.ContainsFunc(reply.Route.Paths, func(p fib_types.FibPath) bool {
		return p.SwIfIndex == want.SwIfIndex && p.Nh.Address == want.Nh.Address
	}), nil
}

// setRoute adds or takes away the one path of route; others stay.
func (v vpp) setRoute(ctx context.Context, add bool, route ip.IPRoute) error {
	_, err := v.ip.IPRouteAddDel(ctx, &ip.IPRouteAddDel{IsAdd: add, IsMultipath: true, Route: route})
	return err
}

// names lists some of VPP's interfaces, for messages.
func names(all []found) string {
	const most = 8
	var list []string
	for i, f := range all {
		if i == most {
			return strings.Join(list, ", ") + fmt.Sprintf(" and %d more", len(all)-most)
		}
		list = append(list, f.name)
	}
	return strings.Join(list, ", ")
}
