package probe

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// UDP4 is a whole IPv4 packet with a datagram.
func UDP4(from, to netip.AddrPort, payload []byte) []byte {
	const ip, udp = 20, 8
	b := make([]byte, ip+udp, ip+udp+len(payload))
	b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(b[2:], uint16(ip+udp+len(payload)))
	copy(b[12:], from.Addr().AsSlice())
	copy(b[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum.Of(b[:ip]))
	binary.BigEndian.PutUint16(b[20:], from.Port())
	binary.BigEndian.PutUint16(b[22:], to.Port())
	binary.BigEndian.PutUint16(b[24:], uint16(udp+len(payload)))
	return append(b, payload...) // UDP checksum 0: none
}

// Encapsulate is a whole IPv6 packet with an IPv4 packet in it.
func Encapsulate(from, to netip.Addr, inner []byte) []byte {
	b := make([]byte, 40, 40+len(inner))
	b[0], b[6], b[7] = 6<<4, unix.IPPROTO_IPIP, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(inner)))
	copy(b[8:], from.AsSlice())
	copy(b[24:], to.AsSlice())
	return append(b, inner...)
}

// SendIPv6 sends a whole IPv6 packet from a node as it is, whatever its source.
func SendIPv6(n Node, packet []byte) error {
	if len(packet) < 40 || packet[0]>>4 != 6 {
		return fmt.Errorf("%d octets are not an IPv6 packet", len(packet))
	}
	return n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return fmt.Errorf("raw socket: %w", err)
		}
		defer unix.Close(fd)
		to := netip.AddrFrom16([16]byte(packet[24:]))
		if err := unix.Sendto(fd, packet, 0, &unix.SockaddrInet6{Addr: to.As16()}); err != nil {
			return fmt.Errorf("send to %s: %w", to, err)
		}
		return nil
	})
}
