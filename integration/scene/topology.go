package scene

import (
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/integration/netlab"
)

// Nodes are the machines of the scene. CPEs and Hosts are by subscriber number
// less one.
type Nodes struct {
	Hosts, CPEs            [Subscribers]*netlab.Namespace
	Access, AFTR, Internet *netlab.Namespace
	// Neighbour is the second host of the first LAN, Second the second AFTR, and DHCP
	// the DHCPv6 server: nil without them.
	Neighbour, Second, DHCP *netlab.Namespace
}

// Interfaces of the nodes.
const (
	hostLink       = "eth0"     // of hosts and of the Internet's host
	CPELAN         = "lan"      // of CPEs
	CPEWAN         = "wan"      // of CPEs
	AccessAFTR     = "aftr"     // of the access router
	AccessDHCP     = "dhcp"     // of the access router
	DHCPUplink     = hostLink   // of the DHCPv6 server
	AFTRAccess     = "access"   // of the AFTR
	AFTRInternet   = "internet" // of the AFTR
	InternetUplink = hostLink   // of the Internet's host
)

// AccessCPE is the access router's interface to a subscriber.
func AccessCPE(number int) string { return fmt.Sprintf("cpe%d", number) }

// build makes nodes, links, addresses and routes: all that is there before
// anybody runs.
func (s *Scene) build() error {
	w := wiring{lab: s.lab}
	s.Access, s.AFTR, s.Internet = w.node("access"), w.node("aftr"), w.node("internet")
	if s.options.VPP != "" {
		w.bare = s.AFTR
	}
	w.router(s.Access)
	w.link(s.Access, AccessAFTR, s.AFTR, AFTRAccess, aftrLink)
	w.link(s.AFTR, AFTRInternet, s.Internet, InternetUplink, internetLink)
	w.address(s.Internet, "lo", netip.PrefixFrom(ServerAddr, 32))
	w.route(s.Internet, anyIPv4, on(internetLink, 1))
	if s.options.VPP == "" {
		w.route(s.AFTR, anyIPv4, on(internetLink, 2))
		w.route(s.AFTR, anyIPv6, on(aftrLink, 1))
	} else {
		w.leave(s.AFTR, AFTRAccess, AFTRInternet)
		w.complete(s.Access, AccessAFTR)
		w.complete(s.Internet, InternetUplink)
	}
	w.route(s.Access, netip.PrefixFrom(BR, 128), on(aftrLink, 2))
	if s.options.DHCPv6 {
		s.DHCP = w.node("dhcp")
		w.link(s.Access, AccessDHCP, s.DHCP, DHCPUplink, dhcpLink)
		w.route(s.DHCP, anyIPv6, on(dhcpLink, 1))
	}
	for i, sub := range s.Subscribers {
		host, cpe := w.node(fmt.Sprintf("host%d", sub.Number)), w.node(fmt.Sprintf("cpe%d", sub.Number))
		s.Hosts[i], s.CPEs[i] = host, cpe
		wan := fmt.Sprintf(cpeLink, sub.Number)
		if i == 0 && s.options.Neighbour {
			s.buildNeighbour(&w, cpe, host, sub)
		} else {
			w.link(cpe, CPELAN, host, hostLink, sub.LAN.String())
		}
		w.link(s.Access, AccessCPE(sub.Number), cpe, CPEWAN, wan)
		w.route(host, anyIPv4, netip.PrefixFrom(sub.Gateway, 24))
		w.route(cpe, anyIPv6, on(wan, 1))
		w.route(s.Access, sub.Prefix, on(wan, 2))
	}
	if s.options.Second {
		s.buildSecond(&w)
	}
	if s.options.Plain {
		s.buildPlain(&w)
	}
	if s.options.VPP == "" && s.options.Devices == DevicesTUN || s.options.Plain {
		w.router(s.AFTR)
	}
	return w.err
}

// buildNeighbour makes a LAN of two hosts: they and the CPE are on a switch.
func (s *Scene) buildNeighbour(w *wiring, cpe, host *netlab.Namespace, sub Subscriber) {
	lan := sub.LAN.String()
	hub := w.node("switch")
	s.Neighbour = w.node("neighbour")
	ports := []string{"cpe", "host", "neighbour"}
	for number, n := range []*netlab.Namespace{cpe, host, s.Neighbour} {
		iface := hostLink
		if n == cpe {
			iface = CPELAN
		}
		if w.err == nil {
			w.err = w.lab.Connect(w.end(n, iface, on(lan, number+1)), netlab.End{Node: hub, Name: ports[number]})
		}
	}
	if w.err == nil {
		w.err = hub.Bridge("bridge", ports...)
	}
	w.route(s.Neighbour, anyIPv4, on(lan, 1))
}

// buildPlain routes IPv4 all the way, for comparison with the softwire.
func (s *Scene) buildPlain(w *wiring) {
	w.address(s.Access, AccessAFTR, on(plainAFTR, 1))
	w.address(s.AFTR, AFTRAccess, on(plainAFTR, 2))
	w.route(s.Access, anyIPv4, on(plainAFTR, 2))
	for i, sub := range s.Subscribers {
		wan := fmt.Sprintf(plainCPE, sub.Number)
		w.address(s.Access, AccessCPE(sub.Number), on(wan, 1))
		w.address(s.CPEs[i], CPEWAN, on(wan, 2))
		w.route(s.CPEs[i], anyIPv4, on(wan, 1))
		w.route(s.Access, sub.LAN, on(wan, 2))
		w.route(s.AFTR, sub.LAN, on(plainAFTR, 1))
		w.router(s.CPEs[i])
	}
}

// wiring does one thing after another until one fails, and keeps that error.
type wiring struct {
	lab *netlab.Lab
	// bare is the node whose kernel gets no addresses, if there is one.
	bare *netlab.Namespace
	err  error
}

func (w *wiring) node(name string) *netlab.Namespace {
	if w.err != nil {
		return nil
	}
	var ns *netlab.Namespace
	ns, w.err = w.lab.Namespace(name)
	return ns
}

func (w *wiring) router(n *netlab.Namespace) {
	if w.err == nil {
		w.err = n.Forward()
	}
}

// link joins two nodes, of which a gets the first address of the subnet and b
// the second.
func (w *wiring) link(a *netlab.Namespace, ifaceA string, b *netlab.Namespace, ifaceB, subnet string) {
	if w.err == nil {
		w.err = w.lab.Connect(w.end(a, ifaceA, on(subnet, 1)), w.end(b, ifaceB, on(subnet, 2)))
	}
}

func (w *wiring) end(n *netlab.Namespace, iface string, a netip.Prefix) netlab.End {
	e := netlab.End{Node: n, Name: iface}
	if n != w.bare {
		e.Addrs = []netip.Prefix{a}
	}
	return e
}

// leave keeps a node's kernel out of what goes over interfaces: it sends
// nothing, and answers nobody, by IPv6 either.
func (w *wiring) leave(n *netlab.Namespace, ifaces ...string) {
	for _, iface := range ifaces {
		if w.err == nil {
			w.err = n.Sysctl("net/ipv6/conf/"+iface+"/disable_ipv6", "1")
		}
	}
}

// complete makes a node send whole packets by an interface, with checksums and
// of the link's size: VPP cannot make up for what a kernel leaves to hardware
// once a packet is in a tunnel.
func (w *wiring) complete(n *netlab.Namespace, iface string) {
	if w.err == nil {
		w.err = n.DisableOffload(iface)
	}
}

func (w *wiring) address(n *netlab.Namespace, iface string, a netip.Prefix) {
	if w.err == nil {
		w.err = n.Address(iface, a)
	}
}

func (w *wiring) route(n *netlab.Namespace, to, via netip.Prefix) {
	if w.err == nil {
		w.err = n.Route(to, via.Addr())
	}
}
