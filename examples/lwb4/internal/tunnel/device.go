package tunnel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// patience bounds how long an address may take to be usable.
const patience = 5 * time.Second

// configure gives the device its addresses and brings it up. All of it goes
// away with the device.
func configure(handle *netlink.Handle, c Config, mtu int) error {
	link, err := handle.LinkByName(c.Name)
	if err != nil {
		return fmt.Errorf("device %s: %w", c.Name, err)
	}
	if err := handle.LinkSetMTU(link, mtu); err != nil {
		return fmt.Errorf("device %s: set MTU %d: %w", c.Name, mtu, err)
	}
	addresses := []netip.Prefix{b4Address}
	b4 := netip.PrefixFrom(c.Ends.B4, 128)
	ours, err := hasAddress(handle, c.Ends.B4)
	if err != nil {
		return err
	}
	if !ours {
		addresses = append(addresses, b4)
	}
	for _, a := range addresses {
		entry := &netlink.Addr{IPNet: ipNet(a)}
		if a.Addr().Is6() {
			entry.Flags = unix.IFA_F_NODAD
		}
		if err := handle.AddrReplace(link, entry); err != nil {
			return fmt.Errorf("device %s: add address %s: %w", c.Name, a, err)
		}
	}
	if err := handle.LinkSetUp(link); err != nil {
		return fmt.Errorf("device %s: bring up: %w", c.Name, err)
	}
	if err := awaitLocal(handle, c.Ends.B4); err != nil {
		return err
	}
	if !c.DefaultRoute {
		return nil
	}
	err = handle.RouteAdd(&netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: ipNet(anywhere), Scope: netlink.SCOPE_LINK, Protocol: unix.RTPROT_STATIC,
	})
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("device %s: there is another IPv4 default route: remove it, or set default-route to false: %w", c.Name, err)
	}
	if err != nil {
		return fmt.Errorf("device %s: add default route: %w", c.Name, err)
	}
	return nil
}

// awaitLocal blocks until the kernel takes packets for an IPv6 address as its
// own. It does so some time after the address was added, and on a busy machine
// that can be a while.
func awaitLocal(handle *netlink.Handle, a netip.Addr) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		routes, err := handle.RouteGet(a.AsSlice())
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return nil
		}
		select {
		case <-again.C:
		case <-late.C:
			return fmt.Errorf("address %s is still not usable after %s: %w", a, patience, errors.Join(err, unix.EADDRNOTAVAIL))
		}
	}
}

// hasAddress reports whether an IPv6 address is on any interface.
func hasAddress(handle *netlink.Handle, a netip.Addr) (bool, error) {
	all, err := handle.AddrList(nil, netlink.FAMILY_V6)
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	for _, one := range all {
		if one.IP.Equal(a.AsSlice()) {
			return true, nil
		}
	}
	return false, nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
