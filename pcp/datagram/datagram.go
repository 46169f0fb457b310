// Package datagram owns the packets in which PCP travels between lwB4s and a
// lwAFTR: UDP over IPv6, and UDP over IPv4 in a softwire, as bytes.
package datagram

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// Datagram is a UDP datagram over IPv6, or over IPv4 in a softwire.
type Datagram struct {
	// OuterFrom and OuterTo are the ends of the softwire; unset over plain IPv6.
	OuterFrom, OuterTo netip.Addr
	From, To           netip.AddrPort
	Payload            []byte
}

// Lengths of headers, in octets.
const (
	ip6Length = 40
	ip4Length = 20
	udpLength = 8
)

// Overhead is how much longer a packet may be than its payload, in octets.
const Overhead = ip6Length + ip4Length + udpLength

const hopLimit = 64

// Packet is the datagram as a whole IPv6 packet.
func (d Datagram) Packet() []byte {
	udp := udpLength + len(d.Payload)
	if !d.OuterFrom.IsValid() {
		b := appendIP6(make([]byte, 0, ip6Length+udp), d.From.Addr(), d.To.Addr(), unix.IPPROTO_UDP, udp)
		b = d.appendUDP(b)
		from, to := d.From.Addr().As16(), d.To.Addr().As16()
		setChecksum(b[ip6Length:], checksum.IPv6(&from, &to, unix.IPPROTO_UDP, b[ip6Length:]))
		return b
	}
	b := appendIP6(make([]byte, 0, ip6Length+ip4Length+udp), d.OuterFrom, d.OuterTo, unix.IPPROTO_IPIP, ip4Length+udp)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(ip4Length+udp))
	b = append(b, 0, 0, 0, 0, hopLimit, unix.IPPROTO_UDP, 0, 0)
	b = append(b, d.From.Addr().AsSlice()...)
	b = append(b, d.To.Addr().AsSlice()...)
	header := b[ip6Length:]
	binary.BigEndian.PutUint16(header[10:], checksum.Of(header))
	b = d.appendUDP(b)
	setChecksum(b[ip6Length+ip4Length:], udp4Checksum(b[ip6Length:]))
	return b
}

func appendIP6(b []byte, from, to netip.Addr, next uint8, length int) []byte {
	b = append(b, 6<<4, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, next, hopLimit)
	b = append(b, from.AsSlice()...)
	return append(b, to.AsSlice()...)
}

// appendUDP appends the UDP header, without a checksum, and the payload.
func (d Datagram) appendUDP(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, d.From.Port())
	b = binary.BigEndian.AppendUint16(b, d.To.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(udpLength+len(d.Payload)))
	return append(append(b, 0, 0), d.Payload...)
}

// setChecksum stores the checksum of a UDP header, in which 0 would mean none.
func setChecksum(udp []byte, sum uint16) {
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
}

// udp4Checksum is the checksum over an IPv4 packet's pseudo-header and datagram:
// what to store if the field is zero, and zero if it is right.
func udp4Checksum(packet []byte) uint16 {
	var pseudo [12]byte
	copy(pseudo[:], packet[12:20])
	pseudo[9] = unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(pseudo[10:], uint16(len(packet)-ip4Length))
	return ^checksum.Sum(packet[ip4Length:], checksum.Sum(pseudo[:], 0))
}

// ErrFormat reports a packet that is no whole datagram of either form.
var ErrFormat = errors.New("not a UDP datagram over IPv6 or in a softwire")

// Parse takes a packet apart, checksums and all. The payload aliases it.
// The error is ErrFormat.
func Parse(b []byte) (Datagram, error) {
	if len(b) < ip6Length || b[0]>>4 != 6 || int(binary.BigEndian.Uint16(b[4:])) != len(b)-ip6Length {
		return Datagram{}, ErrFormat
	}
	from16, to16 := [16]byte(b[8:]), [16]byte(b[24:])
	from, to := netip.AddrFrom16(from16), netip.AddrFrom16(to16)
	inner := b[ip6Length:]
	switch b[6] {
	case unix.IPPROTO_UDP:
		if len(inner) < udpLength || checksum.IPv6(&from16, &to16, unix.IPPROTO_UDP, inner) != 0 {
			return Datagram{}, ErrFormat
		}
		return parseUDP(Datagram{}, from, to, inner)
	case unix.IPPROTO_IPIP:
		if len(inner) < ip4Length+udpLength || inner[0] != 0x45 || inner[9] != unix.IPPROTO_UDP ||
			int(binary.BigEndian.Uint16(inner[2:])) != len(inner) || checksum.Of(inner[:ip4Length]) != 0 {
			return Datagram{}, ErrFormat
		}
		if none := inner[26] == 0 && inner[27] == 0; !none && udp4Checksum(inner) != 0 {
			return Datagram{}, ErrFormat
		}
		return parseUDP(Datagram{OuterFrom: from, OuterTo: to},
			netip.AddrFrom4([4]byte(inner[12:])), netip.AddrFrom4([4]byte(inner[16:])), inner[ip4Length:])
	}
	return Datagram{}, ErrFormat
}

func parseUDP(d Datagram, from, to netip.Addr, udp []byte) (Datagram, error) {
	if int(binary.BigEndian.Uint16(udp[4:])) != len(udp) {
		return Datagram{}, ErrFormat
	}
	d.From = netip.AddrPortFrom(from, binary.BigEndian.Uint16(udp))
	d.To = netip.AddrPortFrom(to, binary.BigEndian.Uint16(udp[2:]))
	d.Payload = udp[udpLength:]
	return d, nil
}

// Reply is a datagram back to where this one came from.
func (d Datagram) Reply(payload []byte) Datagram {
	return Datagram{OuterFrom: d.OuterTo, OuterTo: d.OuterFrom, From: d.To, To: d.From, Payload: payload}
}
