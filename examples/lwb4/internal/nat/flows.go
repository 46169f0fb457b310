package nat

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
)

// Forget ends all flows that an address was used for, but those on ports that are
// still ours. Connections that go on are then refused by their peers, so that hosts
// learn of it. It returns how many it ended.
func Forget(address netip.Addr, still assign.Ports) (int, error) {
	// RFC 7596 section 5.1: "When the lwB4's public IPv4 address or Port Set ID is
	// changed for any reason, the lwB4 MUST flush its NAPT table."
	return forget(func(f *netlink.ConntrackFlow) bool {
		port, ok := ourPort(f, address)
		return ok && (address != still.IPv4 || !still.Contains(port))
	})
}

// ForgetPort ends the flows that one port is used for.
func ForgetPort(address netip.Addr, protocol Protocol, port uint16) (int, error) {
	return forget(func(f *netlink.ConntrackFlow) bool {
		used, ok := ourPort(f, address)
		return ok && used == port && f.Forward.Protocol == uint8(protocol)
	})
}

// which is a filter of flows.
type which func(*netlink.ConntrackFlow) bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (w which) MatchConntrackFlow(f *netlink.ConntrackFlow) bool { return w(f) }

func forget(w which) (int, error) {
	n, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, w)
	if err != nil {
		return int(n), fmt.Errorf("end the flows that have lost their port: %w", err)
	}
	return int(n), nil
}

// ourPort is which port of an address a flow uses towards the Internet: that which
// answers come to, or the one that somebody outside began to send to.
func ourPort(f *netlink.ConntrackFlow, address netip.Addr) (uint16, bool) {
	for _, t := range []netlink.IPTuple{f.Reverse, f.Forward} {
		if t.DstIP.Equal(address.AsSlice()) {
			return t.DstPort, true
		}
	}
	return 0, false
}

// Usage is how many ports are in use, by the protocol that uses the most.
type Usage struct {
	Flows int   // that are translated
	Ports []int // by port set, in the order that they were asked for in
}

// Use counts what is in use of the ports.
func Use(of assign.Ports) (Usage, error) {
	u := Usage{Ports: make([]int, len(of.Sets))}
	flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
	if err != nil {
		return u, fmt.Errorf("list the flows of %s: %w", of.IPv4, err)
	}
	type used struct {
		protocol uint8
		port     uint16
	}
	seen := map[used]bool{}
	for _, f := range flows {
		port, ok := ourPort(f, of.IPv4)
		if !ok {
			continue
		}
		u.Flows++
		seen[used{f.Forward.Protocol, port}] = true
	}
	for i, set := range of.Sets {
		var of [256]int
		for one := range seen {
			if set.Contains(one.port) {
				of[one.protocol]++
				u.Ports[i] = max(u.Ports[i], of[one.protocol])
			}
		}
	}
	return u, nil
}
