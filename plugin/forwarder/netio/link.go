package netio

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernelPatience bounds how long the kernel may take to answer over netlink.
const kernelPatience = 5 * time.Second

// OpenNetlink opens a handle to the network namespace of this thread; all later
// use of the handle is about that namespace. Each of the kernel's answers is waited
// for 5 s at most. The caller closes it.
func OpenNetlink() (*netlink.Handle, error) {
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

// interfaceWith is the name of an interface that has the address a; empty if there is
// none.
func interfaceWith(handle *netlink.Handle, a netip.Addr) (string, error) {
	links, err := handle.LinkList()
	if err != nil {
		return "", fmt.Errorf("list interfaces: %w", err)
	}
	addresses, err := handle.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return "", fmt.Errorf("list addresses: %w", err)
	}
	for _, address := range addresses {
		if !address.IP.Equal(a.AsSlice()) {
			continue
		}
		for _, link := range links {
			if link.Attrs().Index == address.LinkIndex {
				return link.Attrs().Name, nil
			}
		}
	}
	return "", nil
}

// bringUp gives a TUN device its MTU and addresses and brings it up.
func bringUp(handle *netlink.Handle, link netlink.Link, mtu int, addresses []netip.Prefix) error {
	if mtu != 0 {
		if err := handle.LinkSetMTU(link, mtu); err != nil {
			return fmt.Errorf("set MTU %d: %w", mtu, err)
		}
	}
	if link.Attrs().TxQLen == defaultTUNQueue {
		if err := handle.LinkSetTxQLen(link, tunQueueLen); err != nil {
			return fmt.Errorf("set queue length %d: %w", tunQueueLen, err)
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

const (
	// defaultTUNQueue is how many packets a TUN device holds if nobody said
	// otherwise (TUN_READQ_SIZE). One TCP connection at 1 Gbit/s was seen to lose
	// 3 % of its packets there while the reader waited for a CPU.
	defaultTUNQueue = 500
	// tunQueueLen is what Ethernet devices have, and lost next to none.
	tunQueueLen = 1000
)

// nl6AddrGenNone is IN6_ADDR_GEN_MODE_NONE.
const nl6AddrGenNone = 1

// ipNet is prefix in the form that netlink wants.
func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{
		IP:   prefix.Addr().AsSlice(),
		Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
	}
}

// prefixOf is the inverse of ipNet.
func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	address, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	bits, length := n.Mask.Size()
	if length == 32 {
		address = address.Unmap()
	}
	return netip.PrefixFrom(address, bits), address.BitLen() == length
}
