package vppdrv

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	interfaces "go.fd.io/govpp/binapi/interface"
	"go.fd.io/govpp/binapi/interface_types"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// The parties of the packet tests.
var (
	host       = addr("203.0.113.80")
	shared     = addr("100.64.1.1")
	whole      = addr("100.64.1.2")
	b4Shared   = addr("2001:db8:100:1::1")
	b4Neighbor = addr("2001:db8:100:2::1") // on the same address
	b4Whole    = addr("2001:db8:100:3::1")
	b4Nobody   = addr("2001:db8:100:9::1")
)

// Ports of those on the shared address, and of nobody.
const (
	portShared, portNeighbor, portNobody = 0x0401, 0x0801, 0xfc01
)

// parties are the softwires of the packet tests.
func parties(t testing.TB) []softwire.Softwire {
	t.Helper()
	set := func(port uint16) portset.PortSet {
		s, err := portset.Of(0, 6, port>>10)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return []softwire.Softwire{
		{IPv4: shared, PortSet: set(portShared), B4: b4Shared, BR: br1},
		{IPv4: shared, PortSet: set(portNeighbor), B4: b4Neighbor, BR: br1},
		{IPv4: whole, B4: b4Whole, BR: br2},
	}
}

// newParties is a bench with the softwires of the packet tests.
func newParties(t testing.TB, change func(*Config)) *bench {
	t.Helper()
	b := newBench(t, change)
	b.up(t)
	if err := b.Configure(t.Context(), network()); err != nil {
		t.Fatal(err)
	}
	apply(t, b, puts(parties(t)))
	return b
}

// exchange sends packets into a side and returns what comes out by the sides.
func (b *bench) exchange(t testing.TB, side dataplane.Side, packets ...[]byte) map[dataplane.Side][]gopacket.Packet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, p := range packets {
		if err := b.send(ctx, side, p); err != nil {
			t.Fatal(err)
		}
	}
	return map[dataplane.Side][]gopacket.Packet{
		dataplane.SideIPv4: b.drain(ctx, t, dataplane.SideIPv4), dataplane.SideIPv6: b.drain(ctx, t, dataplane.SideIPv6),
	}
}

// drain returns what VPP has sent by a side: its answer to a ping comes last.
func (b *bench) drain(ctx context.Context, t testing.TB, side dataplane.Side) (all []gopacket.Packet) {
	t.Helper()
	const last = "nothing comes after this"
	ping := serialize(ip4(addr(far4), addr(vpp4), layers.IPProtocolICMPv4), echo4(1), gopacket.Payload(last))
	if side == dataplane.SideIPv6 {
		ping = icmp6(addr(far6), br1, layers.ICMPv6TypeEchoRequest, 0, append(make([]byte, 4), last...))
	}
	if err := b.send(ctx, side, ping); err != nil {
		t.Fatal(err)
	}
	for {
		packet, err := b.ports[side].Receive(ctx)
		if err != nil {
			t.Fatalf("%s side: %v", side, err)
		}
		if bytes.HasSuffix(packet, []byte(last)) {
			return all
		}
		all = append(all, dissect(packet))
	}
}

func dissect(packet []byte) gopacket.Packet {
	first := layers.LayerTypeIPv4
	if packet[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	return gopacket.NewPacket(packet, first, gopacket.Default)
}

// layer is the innermost layer of a kind.
func layer[L gopacket.Layer](p gopacket.Packet) (l L) {
	for _, one := range p.Layers() {
		if fits, ok := one.(L); ok {
			l = fits
		}
	}
	return l
}

func ip4(src, dst netip.Addr, protocol layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 64, Id: 0x77, Protocol: protocol, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
}

func udp4(src, dst netip.AddrPort, size int) []byte {
	ip := ip4(src.Addr(), dst.Addr(), layers.IPProtocolUDP)
	return withTransport(ip, &layers.UDP{SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}, make([]byte, size))
}

func ip6(src, dst netip.Addr, next layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: next, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
}

func udp6(src, dst netip.AddrPort, payload []byte) []byte {
	ip := ip6(src.Addr(), dst.Addr(), layers.IPProtocolUDP)
	return withTransport(ip, &layers.UDP{SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}, payload)
}

// icmp6 is an ICMPv6 message; body is what follows its checksum.
func icmp6(src, dst netip.Addr, kind, code uint8, body []byte) []byte {
	ip := ip6(src, dst, layers.IPProtocolICMPv6)
	return withTransport(ip, &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, code)}, body)
}

func echo4(id uint16) *layers.ICMPv4 {
	return &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: id}
}

// withTransport is a packet whose transport header has a checksum over the
// network header, too.
func withTransport(network interface {
	gopacket.NetworkLayer
	gopacket.SerializableLayer
}, transport interface {
	gopacket.SerializableLayer
	SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
}, payload []byte) []byte {
	if err := transport.SetNetworkLayerForChecksum(network); err != nil {
		panic(err)
	}
	return serialize(network, transport, gopacket.Payload(payload))
}

func serialize(all ...gopacket.SerializableLayer) []byte {
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, all...); err != nil {
		panic(err)
	}
	return buffer.Bytes()
}

// entered is how many packets came in by each of our interfaces, by its tag.
func (b *bench) entered(t testing.TB) map[string]uint64 {
	t.Helper()
	s, done, err := b.program(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	reading, err := b.stats.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dump, err := interfaces.NewServiceClient(s.conn).SwInterfaceDump(t.Context(), &interfaces.SwInterfaceDump{SwIfIndex: ^interface_types.InterfaceIndex(0)})
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]uint64)
	for {
		i, err := dump.Recv()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if tag, _, _ := strings.Cut(i.Tag, "\x00"); strings.HasPrefix(tag, b.config.tag()) {
			all[tag] = reading.Interfaces[i.SwIfIndex].Rx.Packets
		}
	}
}
