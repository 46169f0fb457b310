package topology

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"go.fd.io/govpp/api"
	"go.fd.io/govpp/binapi/classify"
	"go.fd.io/govpp/binapi/fib_types"
	interfaces "go.fd.io/govpp/binapi/interface"
	"go.fd.io/govpp/binapi/interface_types"
	"go.fd.io/govpp/binapi/ip"
	"go.fd.io/govpp/binapi/ip_types"
	maps "go.fd.io/govpp/binapi/map"
	"go.fd.io/govpp/binapi/policer"
	"go.fd.io/govpp/binapi/punt"
	"go.fd.io/govpp/binapi/vlib"

	"github.com/lwaftr/lw4o6/vppdrv/script"
)

// Index is a number by which VPP knows an interface.
type Index = interface_types.InterfaceIndex

// vpp is the calls that building takes, with neutral types. The first error
// ends them: later calls do nothing.
type vpp struct {
	ctx        context.Context
	conn       api.Connection
	interfaces interfaces.RPCService
	ip         ip.RPCService
	classify   classify.RPCService
	vlib       vlib.RPCService
	maps       maps.RPCService
	punt       punt.RPCService
	policer    policer.RPCService
	err        error
}

func newVPP(ctx context.Context, conn api.Connection) *vpp {
	return &vpp{
		ctx: ctx, conn: conn,
		interfaces: interfaces.NewServiceClient(conn), ip: ip.NewServiceClient(conn),
		classify: classify.NewServiceClient(conn), vlib: vlib.NewServiceClient(conn),
		maps: maps.NewServiceClient(conn), punt: punt.NewServiceClient(conn), policer: policer.NewServiceClient(conn),
	}
}

// do calls f unless something failed before, and keeps its error.
func (v *vpp) do(what string, f func() error) {
	if v.err != nil {
		return
	}
	if err := f(); err != nil {
		v.err = fmt.Errorf("%s: %w", what, err)
	}
}

// Messages are what building needs VPP to know.
func Messages() []api.Message {
	return []api.Message{
		&interfaces.SwInterfaceDump{}, &interfaces.CreateLoopbackInstance{}, &interfaces.DeleteLoopback{},
		&interfaces.SwInterfaceSetFlags{}, &interfaces.SwInterfaceSetTable{}, &interfaces.SwInterfaceTagAddDel{},
		&interfaces.SwInterfaceAddDelAddress{}, &interfaces.SwInterfaceSetUnnumbered{},
		&ip.IPTableAddDel{}, &ip.IPTableDump{}, &ip.IPTableFlush{}, &ip.IPRouteAddDel{}, &ip.IPRouteDump{}, &ip.IPRouteLookup{},
		&ip.SwInterfaceIP6EnableDisable{},
		&ip.IPReassemblyEnableDisable{}, &ip.IPReassemblySet{},
		&classify.ClassifyAddDelTable{}, &classify.ClassifyAddDelSession{}, &classify.InputACLSetInterface{},
		&classify.ClassifyTableByInterface{}, &classify.ClassifyTableInfo{}, &classify.ClassifySessionDump{},
		&vlib.AddNodeNext{}, &vlib.GetNextIndex{}, script.Message(),
		&maps.MapDomainsGet{}, &maps.MapParamSetSecurityCheck{}, &maps.MapParamSetICMP6{},
		&maps.MapParamSetFragmentation{}, &maps.MapParamSetTrafficClass{}, &maps.MapParamSetTCP{},
		&punt.PuntSocketRegister{}, &punt.PuntSocketDeregister{}, &punt.PuntSocketDump{},
	}
}

// listed is an interface of VPP.
type listed struct {
	index     Index
	name, tag string
}

// each calls visit with what a dump returns, unless err says that it did not
// begin.
func each[D any](dump interface{ Recv() (*D, error) }, err error, visit func(*D)) error {
	for err == nil {
		var d *D
		if d, err = dump.Recv(); err == nil {
			visit(d)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// list reads all interfaces.
func (v *vpp) list() (all []listed) {
	v.do("reading interfaces", func() error {
		dump, err := v.interfaces.SwInterfaceDump(v.ctx, &interfaces.SwInterfaceDump{SwIfIndex: ^Index(0)})
		return each(dump, err, func(d *interfaces.SwInterfaceDetails) {
			all = append(all, listed{d.SwIfIndex, text(d.InterfaceName), text(d.Tag)})
		})
	})
	return all
}

// text is a string of VPP without what follows its end.
func text(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

// loopback makes a loopback interface with a tag, up and in two tables.
func (v *vpp) loopback(tag string, table4, table6 uint32) (index Index) {
	v.do("interface "+tag, func() error {
		reply, err := v.interfaces.CreateLoopbackInstance(v.ctx, &interfaces.CreateLoopbackInstance{})
		if err != nil {
			return err
		}
		index = reply.SwIfIndex
		return v.setTag(index, tag)
	})
	v.do("tables of "+tag, func() error {
		for ip6, table := range map[bool]uint32{false: table4, true: table6} {
			_, err := v.interfaces.SwInterfaceSetTable(v.ctx, &interfaces.SwInterfaceSetTable{SwIfIndex: index, IsIPv6: ip6, VrfID: table})
			if err != nil {
				return err
			}
		}
		return nil
	})
	v.do("state of "+tag, func() error {
		_, err := v.interfaces.SwInterfaceSetFlags(v.ctx, &interfaces.SwInterfaceSetFlags{
			SwIfIndex: index, Flags: interface_types.IF_STATUS_API_FLAG_ADMIN_UP,
		})
		if err != nil {
			return err
		}
		// IPv4 is enabled by an address, own or borrowed, where it matters: VPP's
		// message for it (sw_interface_ip4_enable_disable) does the opposite of
		// what it says, as of 26.06.
		_, err = v.ip.SwInterfaceIP6EnableDisable(v.ctx, &ip.SwInterfaceIP6EnableDisable{SwIfIndex: index, Enable: true})
		return err
	})
	return index
}

func (v *vpp) setTag(index Index, tag string) error {
	_, err := v.interfaces.SwInterfaceTagAddDel(v.ctx, &interfaces.SwInterfaceTagAddDel{IsAdd: true, SwIfIndex: index, Tag: tag})
	return err
}

// deleteLoopback takes a loopback interface away.
func (v *vpp) deleteLoopback(l listed) {
	v.do("deleting interface "+l.tag, func() error {
		_, err := v.interfaces.DeleteLoopback(v.ctx, &interfaces.DeleteLoopback{SwIfIndex: l.index})
		return err
	})
}

// address gives an interface an address of its own.
func (v *vpp) address(index Index, a netip.Addr) {
	v.do("address "+a.String(), func() error {
		_, err := v.interfaces.SwInterfaceAddDelAddress(v.ctx, &interfaces.SwInterfaceAddDelAddress{
			IsAdd: true, SwIfIndex: index,
			Prefix: ip_types.AddressWithPrefix(prefix(netip.PrefixFrom(a, a.BitLen()))),
		})
		if errors.Is(err, api.ADDRESS_IN_USE) {
			return fmt.Errorf("it is in a subnet of another interface of VPP, where no second one may have it: %w", err)
		}
		return err
	})
}

// borrow gives an interface the addresses of another one in the same tables.
func (v *vpp) borrow(index, from Index) {
	v.do("borrowing an address", func() error {
		_, err := v.interfaces.SwInterfaceSetUnnumbered(v.ctx, &interfaces.SwInterfaceSetUnnumbered{
			IsAdd: true, SwIfIndex: from, UnnumberedSwIfIndex: index,
		})
		return err
	})
}

// table makes a FIB table with a name.
func (v *vpp) table(id uint32, ip6 bool, name string) {
	v.do("table "+name, func() error {
		_, err := v.ip.IPTableAddDel(v.ctx, &ip.IPTableAddDel{IsAdd: true, Table: ip.IPTable{TableID: id, IsIP6: ip6, Name: name}})
		return err
	})
}

// flushTable takes all routes out of a FIB table.
func (v *vpp) flushTable(t ip.IPTable) {
	v.do("flushing table "+text(t.Name), func() error {
		_, err := v.ip.IPTableFlush(v.ctx, &ip.IPTableFlush{Table: t})
		return err
	})
}

// deleteTable takes a FIB table away.
func (v *vpp) deleteTable(t ip.IPTable) {
	v.do("deleting table "+text(t.Name), func() error {
		_, err := v.ip.IPTableAddDel(v.ctx, &ip.IPTableAddDel{Table: t})
		return err
	})
}

// tables reads all FIB tables.
func (v *vpp) tables() (all []ip.IPTable) {
	v.do("reading tables", func() error {
		dump, err := v.ip.IPTableDump(v.ctx, &ip.IPTableDump{})
		return each(dump, err, func(d *ip.IPTableDetails) {
			all = append(all, d.Table)
		})
	})
	return all
}

// pathInto is the type of the paths into our interfaces.
const pathInto = fib_types.FIB_API_PATH_TYPE_INTERFACE_RX

// into is the path of packets that go on as if received by an interface.
func into(index Index) fib_types.FibPath {
	return fib_types.FibPath{SwIfIndex: uint32(index), Type: pathInto, Weight: 1}
}

// lookup is the path of packets that are looked up again in another table.
func lookup(table uint32) fib_types.FibPath {
	return fib_types.FibPath{SwIfIndex: ^uint32(0), TableID: table, Weight: 1}
}

// dropped is the path of packets that go nowhere.
func dropped() fib_types.FibPath {
	return fib_types.FibPath{SwIfIndex: ^uint32(0), Type: fib_types.FIB_API_PATH_TYPE_DROP, Weight: 1}
}

// route adds or deletes a route with one path. Deleting one that is not there
// succeeds.
func (v *vpp) route(add bool, table uint32, p netip.Prefix, path fib_types.FibPath) {
	if p.Addr().Is6() {
		path.Proto = fib_types.FIB_API_PATH_NH_PROTO_IP6
	}
	v.do("route "+p.String(), func() error {
		_, err := v.ip.IPRouteAddDel(v.ctx, &ip.IPRouteAddDel{
			IsAdd: add, Route: ip.IPRoute{TableID: table, Prefix: prefix(p), Paths: []fib_types.FibPath{path}},
		})
		if !add && (errors.Is(err, api.NO_SUCH_ENTRY) || errors.Is(err, api.NO_SUCH_FIB)) {
			return nil
		}
		return err
	})
}

// ensureRoute adds a route unless VPP has it with that path.
func (v *vpp) ensureRoute(table uint32, p netip.Prefix, path fib_types.FibPath) {
	has := false
	v.do("reading route "+p.String(), func() error {
		const exact = 1
		reply, err := v.ip.IPRouteLookup(v.ctx, &ip.IPRouteLookup{TableID: table, Exact: exact, Prefix: prefix(p)})
		if errors.Is(err, api.NO_SUCH_ENTRY) {
			return nil
		}
		if err != nil {
			return err
		}
		paths := reply.Route.Paths
		has = len(paths) == 1 && paths[0].Type == path.Type && paths[0].SwIfIndex == path.SwIfIndex
		return nil
	})
	if !has {
		v.route(true, table, p, path)
	}
}

// prefix is p in the types of the API.
func prefix(p netip.Prefix) ip_types.Prefix {
	a := ip_types.Address{Af: ip_types.ADDRESS_IP6}
	if p.Addr().Is4() {
		a.Af = ip_types.ADDRESS_IP4
		a.Un.SetIP4(p.Addr().As4())
	} else {
		a.Un.SetIP6(p.Addr().As16())
	}
	return ip_types.Prefix{Address: a, Len: uint8(p.Bits())}
}

// next is the number by which node sends packets to another one.
func (v *vpp) next(node, to string) (index uint32) {
	v.do("next node of "+node, func() error {
		reply, err := v.vlib.AddNodeNext(v.ctx, &vlib.AddNodeNext{NodeName: node, NextName: to})
		if err == nil {
			index = reply.NextIndex
		}
		return err
	})
	return index
}

// script runs command lines.
func (v *vpp) script(lines []string) {
	v.do("command lines", func() error {
		_, err := script.Run(v.ctx, v.conn, lines...)
		return err
	})
}

// nameOf is VPP's name of an interface.
func (v *vpp) nameOf(index Index) string {
	for _, l := range v.list() {
		if l.index == index {
			return l.name
		}
	}
	v.do("name of an interface", func() error { return fmt.Errorf("interface %d is not there", index) })
	return ""
}
