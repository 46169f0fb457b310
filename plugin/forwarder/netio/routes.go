package netio

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// routeProtocol marks the routes that are ours, as "proto 46" in the kernel's
// tables.
const routeProtocol = 46

// routes keeps the kernel's routes for what one side's Processor takes: to the
// TUN device, or for a packet device into nothing. Without the latter the
// kernel would forward a second copy, or answer that there is no route.
type routes struct {
	handle *netlink.Handle
	side   dataplane.Side
	device int            // index of the TUN device; 0 for routes into nothing
	have   []netip.Prefix // in place and ours
}

// newRoutes finds out what an earlier run left behind; the first set removes of
// it what is not wanted.
func newRoutes(handle *netlink.Handle, side dataplane.Side, device int) (*routes, error) {
	r := &routes{handle: handle, side: side, device: device}
	filter, mask := r.route(netip.Prefix{}), netlink.RT_FILTER_PROTOCOL
	if device != 0 {
		mask |= netlink.RT_FILTER_OIF
	} else {
		mask |= netlink.RT_FILTER_TYPE
	}
	found, err := handle.RouteListFiltered(familyOf(side), filter, mask)
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	for _, route := range found {
		if prefix, ok := prefixOf(route.Dst); ok {
			r.have = append(r.have, prefix)
		}
	}
	return r, nil
}

// set makes want the routes that are ours. After an error some of them may be
// in place, and the next call goes on from there.
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
		err := r.handle.RouteAdd(r.route(prefix))
		if errors.Is(err, unix.EEXIST) {
			// Replacing it would break what the operator has set up.
			err = ErrRouteTaken
		}
		if err != nil {
			return fmt.Errorf("add route %s: %w", prefix, err)
		}
		r.have = append(r.have, prefix)
	}
	return nil
}

// restore brings back what the kernel has dropped of the routes in place, as it
// does with a device that is switched off.
func (r *routes) restore() error {
	for _, prefix := range r.have {
		if err := r.handle.RouteAdd(r.route(prefix)); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add route %s: %w", prefix, err)
		}
	}
	return nil
}

func (r *routes) route(prefix netip.Prefix) *netlink.Route {
	route := &netlink.Route{Protocol: routeProtocol, Type: unix.RTN_BLACKHOLE}
	if r.device != 0 {
		route.LinkIndex, route.Type, route.Scope = r.device, unix.RTN_UNICAST, netlink.SCOPE_LINK
	}
	if prefix.IsValid() {
		route.Dst = ipNet(prefix)
	}
	return route
}

func familyOf(side dataplane.Side) int {
	if side == dataplane.SideIPv4 {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}
