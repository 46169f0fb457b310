package main

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// description is a packet in the words of trace's flags.
type description struct {
	side               string
	outerSrc, outerDst string
	innerSrc, innerDst string
	proto              string
	sport, dport, id   uint16
	tos, ttl           uint8
	length             uint16 // of the IPv4 packet; 0 for the least
	df                 bool
}

func (d description) parseSide() (dataplane.Side, error) {
	switch d.side {
	case "ipv4":
		return dataplane.SideIPv4, nil
	case "ipv6":
		return dataplane.SideIPv6, nil
	case "":
		if d.outerSrc != "" || d.outerDst != "" {
			return dataplane.SideIPv6, nil
		}
		if d.innerSrc != "" || d.innerDst != "" {
			return dataplane.SideIPv4, nil
		}
	}
	return 0, usagef("--side must be ipv4 or ipv6")
}

// packet is the described packet, complete and with right checksums.
func (d description) packet(side dataplane.Side) ([]byte, error) {
	src, err := parse4("inner-src", d.innerSrc)
	if err != nil {
		return nil, err
	}
	dst, err := parse4("inner-dst", d.innerDst)
	if err != nil {
		return nil, err
	}
	proto, err := parseProtocol(d.proto)
	if err != nil {
		return nil, err
	}
	inner, err := d.ipv4(src, dst, proto)
	if err != nil {
		return nil, err
	}
	if side == dataplane.SideIPv4 {
		if d.outerSrc != "" || d.outerDst != "" {
			return nil, usagef("--outer-src and --outer-dst are for --side ipv6")
		}
		return inner, nil
	}
	outerSrc, err := parse6("outer-src", d.outerSrc)
	if err != nil {
		return nil, err
	}
	outerDst, err := parse6("outer-dst", d.outerDst)
	if err != nil {
		return nil, err
	}
	return encapsulate(inner, outerSrc, outerDst, d.tos), nil
}

// Lengths of headers in octets, and protocol numbers.
const (
	ipv4Header, ipv6Header           = 20, 40
	icmpHeader, tcpHeader, udpHeader = 8, 20, 8
	protoICMP, protoTCP, protoUDP    = 1, 6, 17
	protoIPv4                        = 4
)

// ipv4 is the IPv4 packet (RFC 791 section 3.1).
func (d description) ipv4(src, dst netip.Addr, proto uint8) ([]byte, error) {
	least := ipv4Header + map[uint8]int{protoICMP: icmpHeader, protoTCP: tcpHeader, protoUDP: udpHeader}[proto]
	length := max(int(d.length), least)
	if d.length != 0 && int(d.length) < least {
		return nil, usagef("--length %d: the packet has at least %d octets", d.length, least)
	}
	p := make([]byte, length)
	p[0], p[1] = 4<<4|ipv4Header/4, d.tos
	binary.BigEndian.PutUint16(p[2:], uint16(length))
	if d.df {
		p[6] = 0x40
	}
	p[8], p[9] = d.ttl, proto
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(p[10:], checksum.Of(p[:ipv4Header]))
	d.transport(p, proto)
	return p, nil
}

// transport fills in what follows the IPv4 header.
func (d description) transport(p []byte, proto uint8) {
	body := p[ipv4Header:]
	switch proto {
	case protoICMP:
		body[0] = 8 // echo request (RFC 792)
		binary.BigEndian.PutUint16(body[4:], d.id)
		binary.BigEndian.PutUint16(body[2:], checksum.Of(body))
		return
	case protoTCP, protoUDP:
	default:
		return
	}
	binary.BigEndian.PutUint16(body, d.sport)
	binary.BigEndian.PutUint16(body[2:], d.dport)
	at := 6
	if proto == protoTCP {
		at = 16
		body[12], body[13] = tcpHeader/4<<4, 0x10 // an ACK: no handshake to clamp
	} else {
		binary.BigEndian.PutUint16(body[4:], uint16(len(body)))
	}
	// RFC 9293 section 3.1, RFC 768: the sum is over a pseudo header too.
	pseudo := append(make([]byte, 0, 12+len(body)), p[12:20]...)
	pseudo = append(pseudo, 0, proto)
	pseudo = binary.BigEndian.AppendUint16(pseudo, uint16(len(body)))
	sum := checksum.Of(append(pseudo, body...))
	if sum == 0 && proto == protoUDP {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(body[at:], sum)
}

// encapsulate puts an IPv6 header before inner (RFC 2473 section 3).
func encapsulate(inner []byte, src, dst netip.Addr, tos uint8) []byte {
	p := make([]byte, ipv6Header, ipv6Header+len(inner))
	binary.BigEndian.PutUint32(p, 6<<28|uint32(tos)<<20)
	binary.BigEndian.PutUint16(p[4:], uint16(len(inner)))
	p[6], p[7] = protoIPv4, 64
	copy(p[8:], src.AsSlice())
	copy(p[24:], dst.AsSlice())
	return append(p, inner...)
}

func parse4(flag, text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return a, usagef("--%s: %q is not an IPv4 address", flag, text)
	}
	return a, nil
}

func parse6(flag, text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is6() || a.Zone() != "" {
		return a, usagef("--%s: %q is not an IPv6 address", flag, text)
	}
	return a, nil
}

func parseProtocol(text string) (uint8, error) {
	switch text {
	case "icmp":
		return protoICMP, nil
	case "tcp":
		return protoTCP, nil
	case "udp":
		return protoUDP, nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return 0, usagef("--proto: %q is neither tcp, udp, icmp nor a number from 0 to 255", text)
	}
	return uint8(n), nil
}
