package netio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// socketBuffer is the size in bytes asked for each socket's queues.
const socketBuffer = 8 << 20

// openPacket opens AF_PACKET sockets for one side's protocol on an Ethernet
// interface, one per queue, and lets the kernel distribute packets over them.
func openPacket(link netlink.Link, side dataplane.Side, queues int) (fds []int, err error) {
	defer func() {
		if err != nil {
			closeAll(fds)
			fds = nil
		}
	}()
	if link.Attrs().EncapType != "ether" || len(link.Attrs().HardwareAddr) != 6 {
		return nil, fmt.Errorf("%w: it is not Ethernet", ErrUnsuitable)
	}
	var group uint16
	for range queues {
		fd, err := openPacketSocket(link.Attrs().Index, side)
		if err != nil {
			return fds, packetError(err)
		}
		fds = append(fds, fd)
		if queues == 1 {
			continue
		}
		if group, err = joinFanout(fd, group, len(fds) == 1, side); err != nil {
			return fds, err
		}
	}
	// Until here each socket refused everything, so nothing came in twice.
	for _, fd := range fds {
		if err := setFilter(fd, ourPackets); err != nil {
			return fds, fmt.Errorf("packet filter: %w", err)
		}
	}
	return fds, nil
}

// openPacketSocket opens a socket for one side that is bound to an interface
// and refuses every packet until it is given another filter.
func openPacketSocket(index int, side dataplane.Side) (fd int, err error) {
	// Protocol zero receives nothing before the socket is bound.
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := setFilter(fd, noPackets); err != nil {
		return -1, fmt.Errorf("packet filter: %w", err)
	}
	for _, option := range [...]struct{ level, name, value int }{
		{unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1},
		{unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer},
		{unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, socketBuffer},
	} {
		if err := unix.SetsockoptInt(fd, option.level, option.name, option.value); err != nil {
			return -1, fmt.Errorf("socket option %d: %w", option.name, err)
		}
	}
	address := &unix.SockaddrLinklayer{Protocol: networkOrder(etherType(side)), Ifindex: index}
	if err := unix.Bind(fd, address); err != nil {
		return -1, fmt.Errorf("bind: %w", err)
	}
	return fd, nil
}

// joinFanout adds a socket to the group of an interface's sockets, of which
// each packet goes to one. The first one founds the group.
func joinFanout(fd int, group uint16, first bool, side dataplane.Side) (uint16, error) {
	// Neither PACKET_FANOUT_HASH, for the reason given in steering.go, nor
	// PACKET_FANOUT_FLAG_DEFRAG: it would reassemble what we must forward as
	// fragments.
	mode := unix.PACKET_FANOUT_CBPF
	if first {
		mode |= unix.PACKET_FANOUT_FLAG_UNIQUEID
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, int(group)|mode<<16); err != nil {
		return 0, fmt.Errorf("packet fanout: %w", err)
	}
	if !first {
		return group, nil
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
	if err != nil {
		return 0, fmt.Errorf("packet fanout: %w", err)
	}
	program := packetSteering(side)
	err = setsockopt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, &program)
	if err != nil {
		return 0, fmt.Errorf("packet fanout program: %w", err)
	}
	return uint16(got), nil
}

func packetError(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w (%w)", ErrPermission, err)
	}
	return err
}

func etherType(side dataplane.Side) uint16 {
	if side == dataplane.SideIPv4 {
		return unix.ETH_P_IP
	}
	return unix.ETH_P_IPV6
}

// networkOrder is v with its bytes in network order in memory.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16([]byte{byte(v >> 8), byte(v)})
}

// gatewayOf finds the gateway of the default route of side's family through an
// interface. It is nil if there is none.
func gatewayOf(handle *netlink.Handle, index int, side dataplane.Side) (net.IP, error) {
	filter := &netlink.Route{LinkIndex: index, Table: unix.RT_TABLE_MAIN}
	found, err := handle.RouteListFiltered(familyOf(side), filter, netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	found = slices.DeleteFunc(found, func(r netlink.Route) bool {
		if r.Gw == nil {
			return true
		}
		if r.Dst == nil {
			return false
		}
		ones, _ := r.Dst.Mask.Size()
		return ones != 0
	})
	if len(found) == 0 {
		return nil, nil
	}
	best := slices.MinFunc(found, func(a, b netlink.Route) int { return a.Priority - b.Priority })
	return best.Gw, nil
}
