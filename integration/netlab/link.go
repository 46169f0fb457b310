package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// End is one end of a link.
type End struct {
	Node  *Namespace
	Name  string         // the interface's, at most 15 characters
	Addrs []netip.Prefix // addresses with the length of their subnet
}

// DefaultMTU is that of new links, in octets.
const DefaultMTU = 1500

// Connect joins two nodes by a link, a veth pair that is up.
func (l *Lab) Connect(a, b End) error {
	if err := connect(a, b, firstIndex+int(l.links.Add(1))); err != nil {
		return fmt.Errorf("link %s:%s to %s:%s: %w", a.Node, a.Name, b.Node, b.Name, err)
	}
	return nil
}

// firstIndex is more than a namespace hands out by itself. A link whose two
// ends have the same interface index, each in its namespace, looks like a link
// to itself: the kernel then delays the news that it is up by a second, and
// IPv6 with it.
const firstIndex = 1000

func connect(a, b End, index int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.Index = a.Name, DefaultMTU, index
	pair := &netlink.Veth{
		LinkAttrs: attrs, PeerName: b.Name, PeerMTU: DefaultMTU, PeerNamespace: netlink.NsFd(int(b.Node.handle)),
	}
	if err := a.Node.links.LinkAdd(pair); err != nil {
		return err
	}
	for _, end := range []End{a, b} {
		for _, addr := range end.Addrs {
			if err := end.Node.Address(end.Name, addr); err != nil {
				return err
			}
		}
		link, err := end.Node.links.LinkByName(end.Name)
		if err != nil {
			return err
		}
		if err := end.Node.links.LinkSetUp(link); err != nil {
			return err
		}
	}
	return errors.Join(a.Node.awaitAddresses(a.Name), b.Node.awaitAddresses(b.Name))
}

// awaitLimit bounds how long the kernel may take to make addresses usable.
const awaitLimit = 10 * time.Second

// awaitAddresses blocks until the IPv6 addresses of an interface, the
// link-local one among them, can be used. Without duplicate address detection
// that is soon, but not at once, and what is sent before waits for a second.
func (n *Namespace) awaitAddresses(iface string) error {
	link, err := n.links.LinkByName(iface)
	if err != nil {
		return err
	}
	late := time.NewTimer(awaitLimit)
	defer late.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		usable, err := n.addressesUsable(link)
		if usable || err != nil {
			return err
		}
		select {
		case <-again.C:
		case <-late.C:
			return fmt.Errorf("%s: interface %s: its addresses are not usable after %s", n, iface, awaitLimit)
		}
	}
}

func (n *Namespace) addressesUsable(link netlink.Link) (bool, error) {
	all, err := n.links.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return false, err
	}
	linkLocal := false
	for _, a := range all {
		// The route comes last of all that the kernel does for an address.
		routes, err := n.links.RouteGetWithOptions(a.IP, &netlink.RouteGetOptions{Oif: link.Attrs().Name})
		if a.Flags&unix.IFA_F_TENTATIVE != 0 || err != nil || len(routes) == 0 || routes[0].Type != unix.RTN_LOCAL {
			return false, nil
		}
		linkLocal = linkLocal || a.IP.IsLinkLocalUnicast()
	}
	return linkLocal, nil
}

// Address adds an address to an interface. It is usable at once.
func (n *Namespace) Address(iface string, addr netip.Prefix) error {
	link, err := n.links.LinkByName(iface)
	if err != nil {
		return fmt.Errorf("%s: interface %s: %w", n, iface, err)
	}
	entry := &netlink.Addr{IPNet: ipNet(addr)}
	if addr.Addr().Is6() {
		entry.Flags = unix.IFA_F_NODAD
	}
	if err := n.links.AddrAdd(link, entry); err != nil {
		return fmt.Errorf("%s: interface %s: address %s: %w", n, iface, addr, err)
	}
	return nil
}

// Route adds a route to a neighbour on one of the node's links.
func (n *Namespace) Route(to netip.Prefix, via netip.Addr) error {
	err := n.links.RouteAdd(&netlink.Route{Dst: ipNet(to), Gw: net.IP(via.AsSlice())})
	if err != nil {
		return fmt.Errorf("%s: route to %s via %s: %w", n, to, via, err)
	}
	return nil
}

// RouteFrom adds a route by an interface, whose packets the node sends from an
// address of its own.
func (n *Namespace) RouteFrom(to netip.Prefix, iface string, from netip.Addr) error {
	link, err := n.links.LinkByName(iface)
	if err == nil {
		err = n.links.RouteAdd(&netlink.Route{Dst: ipNet(to), LinkIndex: link.Attrs().Index, Src: net.IP(from.AsSlice())})
	}
	if err != nil {
		return fmt.Errorf("%s: route to %s by %s from %s: %w", n, to, iface, from, err)
	}
	return nil
}

// Own makes the node take all addresses of a prefix for its own.
func (n *Namespace) Own(prefix netip.Prefix) error {
	lo, err := n.links.LinkByName("lo")
	if err == nil {
		err = n.links.RouteAdd(&netlink.Route{
			Dst: ipNet(prefix), LinkIndex: lo.Attrs().Index, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL,
		})
	}
	if err != nil {
		return fmt.Errorf("%s: the addresses of %s: %w", n, prefix, err)
	}
	return nil
}

// SetMTU changes the MTU of an interface in octets. The other end keeps its own,
// and what it sends that is larger is dropped without a word.
func (n *Namespace) SetMTU(iface string, mtu int) error {
	link, err := n.links.LinkByName(iface)
	if err == nil {
		err = n.links.LinkSetMTU(link, mtu)
	}
	if err != nil {
		return fmt.Errorf("%s: interface %s: mtu %d: %w", n, iface, mtu, err)
	}
	return nil
}

// SetIPv6MTU changes the size in octets of the IPv6 packets that leave by an
// interface. Larger ones may still come in.
func (n *Namespace) SetIPv6MTU(iface string, mtu int) error {
	if err := n.Sysctl("net/ipv6/conf/"+iface+"/mtu", strconv.Itoa(mtu)); err != nil {
		return fmt.Errorf("%s: interface %s: IPv6 MTU %d: %w", n, iface, mtu, err)
	}
	return nil
}

// Bridge makes the node a switch: it joins some of its interfaces.
func (n *Namespace) Bridge(name string, ifaces ...string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	err := n.links.LinkAdd(bridge)
	for _, iface := range ifaces {
		var link netlink.Link
		if err == nil {
			link, err = n.links.LinkByName(iface)
		}
		if err == nil {
			err = n.links.LinkSetMaster(link, bridge)
		}
	}
	if err == nil {
		err = n.links.LinkSetUp(bridge)
	}
	if err != nil {
		return fmt.Errorf("%s: bridge %s of %v: %w", n, name, ifaces, err)
	}
	return nil
}

// SetUp brings an interface up or down. Going down, it loses its routes.
func (n *Namespace) SetUp(iface string, up bool) error {
	link, err := n.links.LinkByName(iface)
	switch {
	case err != nil:
	case up:
		err = n.links.LinkSetUp(link)
	default:
		err = n.links.LinkSetDown(link)
	}
	if err != nil {
		return fmt.Errorf("%s: interface %s: up %t: %w", n, iface, up, err)
	}
	return nil
}

// Interfaces names the node's interfaces.
func (n *Namespace) Interfaces() ([]string, error) {
	links, err := n.links.LinkList()
	if err != nil {
		return nil, fmt.Errorf("%s: interfaces: %w", n, err)
	}
	names := make([]string, len(links))
	for i, link := range links {
		names[i] = link.Attrs().Name
	}
	return names, nil
}

// ipNet adapts a prefix, with the host bits it has, to package netlink.
func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
