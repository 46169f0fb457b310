package netio

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernelPatience bounds how long the kernel may take to answer over netlink.
const kernelPatience = 5 * time.Second

// openNetlink opens a handle to the network namespace of this thread; all later
// use of the handle is about that namespace.
func openNetlink() (*netlink.Handle, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if err := handle.SetSocketTimeout(kernelPatience); err != nil {
		handle.Close()
		return nil, fmt.Errorf("netlink timeout: %w", err)
	}
	return handle, nil
}

// findLink finds a network interface. The error wraps ErrNoInterface where
// there is none.
func findLink(handle *netlink.Handle, name string) (netlink.Link, error) {
	link, err := handle.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("%w: %s", ErrNoInterface, name)
	}
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	return link, nil
}

// bringUp gives a TUN device its MTU and addresses and brings it up.
func bringUp(handle *netlink.Handle, link netlink.Link, mtu int, addresses []netip.Prefix) error {
	if mtu != 0 {
		if err := handle.LinkSetMTU(link, mtu); err != nil {
			return fmt.Errorf("set MTU %d: %w", mtu, err)
		}
	}
	// A link-local address would only make the kernel solicit routers on a
	// device behind which there are none. A kernel without IPv6 has no such
	// mode and no such addresses.
	_ = handle.LinkSetIP6AddrGenMode(link, nl6AddrGenNone)
	for _, prefix := range addresses {
		address := &netlink.Addr{IPNet: ipNet(prefix), Flags: unix.IFA_F_NODAD}
		if err := handle.AddrReplace(link, address); err != nil {
			return fmt.Errorf("add address %s: %w", prefix, err)
		}
	}
	if err := handle.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring up: %w", err)
	}
	return nil
}

// nl6AddrGenNone is IN6_ADDR_GEN_MODE_NONE.
const nl6AddrGenNone = 1

// routes keeps the routes of one side through one TUN device.
type routes struct {
	handle *netlink.Handle
	link   netlink.Link
	have   []netip.Prefix // what we added or found in place
}

// set makes want the routes through the device that are ours. After an error
// some of them may be in place, and the next call goes on from there.
func (r *routes) set(want []netip.Prefix) error {
	for _, prefix := range slices.Clone(r.have) {
		if slices.Contains(want, prefix) {
			continue
		}
		err := r.handle.RouteDel(r.route(prefix))
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("remove route %s: %w", prefix, err)
		}
		r.have = slices.DeleteFunc(r.have, func(p netip.Prefix) bool { return p == prefix })
	}
	for _, prefix := range want {
		if slices.Contains(r.have, prefix) {
			continue
		}
		if err := r.add(prefix); err != nil {
			return fmt.Errorf("add route %s: %w", prefix, err)
		}
		r.have = append(r.have, prefix)
	}
	return nil
}

// add adds a route. One that is there already stays: through this device it is
// what an earlier run left, through another it is the operator's.
func (r *routes) add(prefix netip.Prefix) error {
	err := r.handle.RouteAdd(r.route(prefix))
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	family := netlink.FAMILY_V4
	if prefix.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	found, err := r.handle.RouteListFiltered(family, r.route(prefix), netlink.RT_FILTER_DST|netlink.RT_FILTER_OIF)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("it exists through another device: remove one of the two")
	}
	return nil
}

func (r *routes) route(prefix netip.Prefix) *netlink.Route {
	return &netlink.Route{
		LinkIndex: r.link.Attrs().Index,
		Dst:       ipNet(prefix),
		Scope:     netlink.SCOPE_LINK,
		Protocol:  unix.RTPROT_STATIC,
	}
}

// ipNet is prefix in the form that netlink wants.
func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{
		IP:   prefix.Addr().AsSlice(),
		Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
	}
}
