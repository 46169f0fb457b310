package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// packetFlags describe a packet on the command line.
type packetFlags struct {
	outerSrc, outerDst string
	src, dst           string
	proto              string
	sport, dport       uint16
	id                 uint16
	ttl, tos           uint8
	size               int
	df                 bool
}

func (p *packetFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.outerSrc, "outer-src", "", "outer IPv6 source: the lwB4's `address`")
	f.StringVar(&p.outerDst, "outer-dst", "", "outer IPv6 destination: the BR `address`")
	f.StringVar(&p.src, "src", "", "IPv4 source `address`")
	f.StringVar(&p.dst, "dst", "", "IPv4 destination `address`")
	f.StringVar(&p.proto, "proto", "udp", "tcp, udp, icmp (an echo request) or a `protocol` number")
	f.Uint16Var(&p.sport, "sport", 0, "source `port`")
	f.Uint16Var(&p.dport, "dport", 0, "destination `port`")
	f.Uint16Var(&p.id, "id", 0, "ICMP `identifier`")
	f.Uint8Var(&p.ttl, "ttl", 64, "IPv4 `TTL`")
	f.Uint8Var(&p.tos, "tos", 0, "IPv4 traffic class `octet`")
	f.IntVar(&p.size, "size", 0, "`octets` of the IPv4 packet; as few as can be if 0")
	f.BoolVar(&p.df, "df", false, "set \"don't fragment\"")
}

// IP protocol numbers.
const (
	protoICMP = 1
	protoIPv4 = 4
	protoTCP  = 6
	protoUDP  = 17
)

// request is the described packet, from side or where such packets come from.
func (p *packetFlags) request(side string) (api.TraceRequest, error) {
	inner, err := p.ipv4()
	if err != nil {
		return api.TraceRequest{}, err
	}
	if p.outerSrc == "" && p.outerDst == "" {
		if side == "ipv6" {
			return api.TraceRequest{}, errors.New("a packet from the IPv6 side needs --outer-src and --outer-dst")
		}
		return api.TraceRequest{Side: "ipv4", Packet: inner}, nil
	}
	if side == "ipv4" {
		return api.TraceRequest{}, errors.New("--outer-src and --outer-dst belong to packets from the IPv6 side")
	}
	src, err := address("outer-src", p.outerSrc, netip.Addr.Is6)
	if err != nil {
		return api.TraceRequest{}, err
	}
	dst, err := address("outer-dst", p.outerDst, netip.Addr.Is6)
	if err != nil {
		return api.TraceRequest{}, err
	}
	outer := make([]byte, 40, 40+len(inner))
	binary.BigEndian.PutUint32(outer, 6<<28|uint32(p.tos)<<20)
	binary.BigEndian.PutUint16(outer[4:], uint16(len(inner)))
	outer[6], outer[7] = protoIPv4, 64
	copy(outer[8:], src.AsSlice())
	copy(outer[24:], dst.AsSlice())
	return api.TraceRequest{Side: "ipv6", Packet: append(outer, inner...)}, nil
}

// ipv4 is the described IPv4 packet. Transport checksums are left zero: a router
// does not look at them.
func (p *packetFlags) ipv4() ([]byte, error) {
	src, err := address("src", p.src, netip.Addr.Is4)
	if err != nil {
		return nil, err
	}
	dst, err := address("dst", p.dst, netip.Addr.Is4)
	if err != nil {
		return nil, err
	}
	number, least, err := p.protocol()
	if err != nil {
		return nil, err
	}
	size := max(p.size, 20+least)
	if p.size != 0 && p.size < size || size > 65535 {
		return nil, fmt.Errorf("--size %d is not between %d and 65535", p.size, 20+least)
	}
	b := make([]byte, size)
	b[0], b[1], b[8], b[9] = 0x45, p.tos, p.ttl, number
	binary.BigEndian.PutUint16(b[2:], uint16(size))
	if p.df {
		b[6] = 0x40
	}
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum.Of(b[:20]))
	payload := b[20:]
	switch {
	case len(payload) < 8: // given by number
	case number == protoICMP:
		payload[0] = 8 // echo request
		binary.BigEndian.PutUint16(payload[4:], p.id)
		binary.BigEndian.PutUint16(payload[2:], checksum.Of(payload))
	case number == protoTCP && len(payload) >= 20, number == protoUDP:
		binary.BigEndian.PutUint16(payload, p.sport)
		binary.BigEndian.PutUint16(payload[2:], p.dport)
		if number == protoTCP {
			payload[12] = 5 << 4
		} else {
			binary.BigEndian.PutUint16(payload[4:], uint16(len(payload)))
		}
	}
	return b, nil
}

// protocol is the number of --proto, and the fewest octets of its header.
func (p *packetFlags) protocol() (number uint8, least int, err error) {
	switch strings.ToLower(p.proto) {
	case "tcp":
		return protoTCP, 20, nil
	case "udp":
		return protoUDP, 8, nil
	case "icmp":
		return protoICMP, 8, nil
	}
	n, err := strconv.ParseUint(p.proto, 10, 8)
	if err != nil {
		return 0, 0, fmt.Errorf("--proto %q is neither tcp, udp, icmp nor a number up to 255", p.proto)
	}
	return uint8(n), 0, nil
}

// address parses an address of the wanted family.
func address(flag, text string, family func(netip.Addr) bool) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !family(a) || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("--%s: %q is not an address of the right family", flag, text)
	}
	return a, nil
}
