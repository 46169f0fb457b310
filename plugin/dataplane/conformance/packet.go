package conformance

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// packet4 is an IPv4 packet. Its methods return changed copies.
type packet4 struct {
	src, dst  netip.Addr
	ttl, tos  uint8
	id        uint16
	options   []layers.IPv4Option
	protocol  layers.IPProtocol
	transport []byte // header and payload, checksum included
}

// bytes is the packet on the wire.
func (p packet4) bytes() []byte {
	return serialize(p.header(), gopacket.Payload(p.transport))
}

func (p packet4) header() *layers.IPv4 {
	return &layers.IPv4{
		Version: 4, TTL: p.ttl, TOS: p.tos, Id: p.id, Protocol: p.protocol,
		SrcIP: p.src.AsSlice(), DstIP: p.dst.AsSlice(), Options: p.options,
	}
}

func (p packet4) withTTL(ttl uint8) packet4 { p.ttl = ttl; return p }
func (p packet4) withTOS(tos uint8) packet4 { p.tos = tos; return p }

// ipv4 is a packet with the TTL and identification that all start with.
func ipv4(src, dst netip.Addr, protocol layers.IPProtocol, transport []byte) packet4 {
	return packet4{src: src, dst: dst, ttl: 64, id: 0x4f36, protocol: protocol, transport: transport}
}

func udp4(src, dst netip.AddrPort, payload []byte) packet4 {
	p := ipv4(src.Addr(), dst.Addr(), layers.IPProtocolUDP, nil)
	header := &layers.UDP{SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}
	p.transport = checksummed(header, p.header(), payload)
	return p
}

func tcp4(src, dst netip.AddrPort, payload []byte) packet4 {
	p := ipv4(src.Addr(), dst.Addr(), layers.IPProtocolTCP, nil)
	header := &layers.TCP{
		SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()),
		Seq: 0x01020304, Ack: 0x05060708, ACK: true, PSH: true, Window: 512,
	}
	p.transport = checksummed(header, p.header(), payload)
	return p
}

// icmp4 is an ICMPv4 message; rest is the four bytes after the checksum.
func icmp4(src, dst netip.Addr, kind, code uint8, rest uint32, payload []byte) packet4 {
	header := &layers.ICMPv4{
		TypeCode: layers.CreateICMPv4TypeCode(kind, code), Id: uint16(rest >> 16), Seq: uint16(rest),
	}
	return ipv4(src, dst, layers.IPProtocolICMPv4, serialize(header, gopacket.Payload(payload)))
}

// The ICMPv4 types that the suite sends or expects (RFC 792).
const (
	echoReply        = 0
	unreachable      = 3
	echoRequest      = 8
	timeExceeded     = 11
	parameterProblem = 12
	timestamp        = 13
)

func echo(src, dst netip.Addr, kind uint8, id uint16) packet4 {
	return icmp4(src, dst, kind, 0, uint32(id)<<16|1, []byte("0123456789abcdef"))
}

// quoted is what an ICMPv4 error carries of p: the header and eight bytes of
// what follows it (RFC 792).
func (p packet4) quoted() []byte {
	all := p.bytes()
	return all[:min(len(all), len(all)-len(p.transport)+8)]
}

// outer is the IPv6 header around a tunnelled packet.
type outer struct {
	src, dst netip.Addr
	class    uint8
	flow     uint32
	hops     uint8
}

// around is payload inside the tunnel header o.
func (o outer) around(payload []byte) []byte {
	return o.with(layers.IPProtocolIPv4, payload)
}

func (o outer) with(next layers.IPProtocol, payload []byte) []byte {
	return serialize(o.header(next), gopacket.Payload(payload))
}

func (o outer) header(next layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{
		Version: 6, TrafficClass: o.class, FlowLabel: o.flow, NextHeader: next,
		HopLimit: o.hops, SrcIP: o.src.AsSlice(), DstIP: o.dst.AsSlice(),
	}
}

func udp6(src, dst netip.AddrPort, payload []byte) []byte {
	o := outer{src: src.Addr(), dst: dst.Addr(), hops: 64}
	header := &layers.UDP{SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}
	return o.with(layers.IPProtocolUDP, checksummed(header, o.header(layers.IPProtocolUDP), payload))
}

// checksummed is a transport header and payload with the checksum that the
// network header gives it.
func checksummed(header interface {
	gopacket.SerializableLayer
	SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
}, network gopacket.NetworkLayer, payload []byte) []byte {
	if err := header.SetNetworkLayerForChecksum(network); err != nil {
		panic(fmt.Sprintf("conformance: building a packet: %v", err))
	}
	return serialize(header, gopacket.Payload(payload))
}

// serialize panics only if the suite itself is wrong.
func serialize(all ...gopacket.SerializableLayer) []byte {
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, all...); err != nil {
		panic(fmt.Sprintf("conformance: building a packet: %v", err))
	}
	return buffer.Bytes()
}

// text is n bytes that differ from their neighbours.
func text(n int) []byte {
	b := make([]byte, 0, n+4)
	for i := uint32(0); len(b) < n; i++ {
		b = binary.BigEndian.AppendUint32(b, 0x6c773436+i*0x9e3779b1)
	}
	return b[:n]
}
