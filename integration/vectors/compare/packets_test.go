package compare

import (
	"encoding/binary"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// ownAddress is the lwAFTR's IPv4 address in the tests.
const ownAddress = "192.0.2.254"

// The packets that the tests change are built with a library, so that what is
// compared was not built by what takes it apart.

func serialize(t testing.TB, l ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, l...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func header4(src, dst string, proto layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 60, Id: 77, Protocol: proto, SrcIP: net.ParseIP(src), DstIP: net.ParseIP(dst)}
}

func header6(next layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: next,
		SrcIP: net.ParseIP("2001:db8::1"), DstIP: net.ParseIP("2001:db8:1::1")}
}

// tcp4 is 60 bytes of IPv4 with TCP in it.
func tcp4(t testing.TB) []byte {
	ip := header4("198.51.100.1", "192.0.2.1", layers.IPProtocolTCP)
	tcp := &layers.TCP{SrcPort: 80, DstPort: 5000, Window: 9}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialize(t, ip, tcp, gopacket.Payload("some twenty byte text"))
}

func short4(t testing.TB) []byte {
	ip := header4("198.51.100.1", "192.0.2.1", layers.IPProtocolUDP)
	udp := &layers.UDP{SrcPort: 80, DstPort: 5000}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialize(t, ip, udp, gopacket.Payload("x"))
}

func encapsulated(t testing.TB) []byte {
	return serialize(t, header6(layers.IPProtocolIPv4), gopacket.Payload(tcp4(t)))
}

// fragment6 is the first fragment of an encapsulated packet.
func fragment6(t testing.TB) []byte {
	head := []byte{protoIPv4, 0, 0, 1, 0, 0, 0, 9}
	return serialize(t, header6(layers.IPProtocolIPv6Fragment), gopacket.Payload(append(head, tcp4(t)[:48]...)))
}

// fragment4 is the first fragment of an IPv4 packet.
func fragment4(t testing.TB) []byte {
	ip := header4("198.51.100.1", "192.0.2.1", layers.IPProtocolTCP)
	ip.Flags = layers.IPv4MoreFragments
	return serialize(t, ip, gopacket.Payload(tcp4(t)[20:44]))
}

func errorFrom(t testing.TB, src string) []byte {
	icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 4), Seq: 1240}
	return serialize(t, header4(src, "198.51.100.1", layers.IPProtocolICMPv4), icmp, gopacket.Payload(tcp4(t)))
}

func error4(t testing.TB) []byte { return errorFrom(t, ownAddress) }

func somebodysError4(t testing.TB) []byte { return errorFrom(t, "203.0.113.9") }

func echo4(t testing.TB) []byte {
	icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(0, 0), Id: 5, Seq: 1}
	return serialize(t, header4(ownAddress, "198.51.100.1", layers.IPProtocolICMPv4), icmp, gopacket.Payload("ping"))
}

func message(t testing.TB, typ, code uint8, body []byte) []byte {
	ip := header6(layers.IPProtocolICMPv6)
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, code)}
	if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialize(t, ip, icmp, gopacket.Payload(append(make([]byte, 4), body...)))
}

func error6(t testing.TB) []byte { return message(t, 1, 5, encapsulated(t)) }

func neighbour(t testing.TB) []byte { return message(t, 135, 0, make([]byte, 16)) }

// listener is a multicast listener report behind its hop-by-hop header.
func listener(t testing.TB) []byte {
	report := message(t, 143, 0, make([]byte, 20))
	p := append([]byte(nil), report[:40]...)
	p[6] = protoHopByHop
	p = append(p, protoICMPv6, 0, 5, 2, 0, 0, 1, 0)
	p = append(p, report[40:]...)
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
	return p
}

func badTransport(p []byte) []byte {
	p = append([]byte(nil), p...)
	p[40+20+16] ^= 0xff
	return p
}

// Changes of a packet.

func same(p []byte) []byte { return p }

func flip(at int, bits byte) func([]byte) []byte {
	return func(p []byte) []byte { p[at] ^= bits; return p }
}

func cut(n int) func([]byte) []byte {
	return func(p []byte) []byte { return p[:len(p)-n] }
}

func longer(n int) func([]byte) []byte {
	return func(p []byte) []byte { return append(p, make([]byte, n)...) }
}

// at applies change to what begins at an offset.
func at(offset int, change func([]byte) []byte) func([]byte) []byte {
	return func(p []byte) []byte { change(p[offset:]); return p }
}

// summed makes the IPv4 header checksum right after change.
func summed(change func([]byte) []byte) func([]byte) []byte {
	return func(p []byte) []byte {
		p = change(p)
		p[10], p[11] = 0, 0
		binary.BigEndian.PutUint16(p[10:], ^sum(p[:20]))
		return p
	}
}

func inner(change func([]byte) []byte) func([]byte) []byte { return at(40, summed(change)) }

func innerOfFragment(change func([]byte) []byte) func([]byte) []byte {
	return at(48, summed(change))
}

// message4 changes an ICMPv4 message and makes its checksum right.
func message4(change func([]byte) []byte) func([]byte) []byte {
	return func(p []byte) []byte {
		m := change(p[20:])
		m[2], m[3] = 0, 0
		binary.BigEndian.PutUint16(m[2:], ^sum(m))
		return p
	}
}

// message6 changes an ICMPv6 message and makes its checksum right.
func message6(change func([]byte) []byte) func([]byte) []byte {
	return func(p []byte) []byte {
		m := change(p[40:])
		m[2], m[3] = 0, 0
		binary.BigEndian.PutUint16(m[2:], ^sum6(p, protoICMPv6, m))
		return p
	}
}

// shortQuote4 cuts the ICMPv4 message to n bytes, all lengths and sums right.
func shortQuote4(n int) func([]byte) []byte {
	return func(p []byte) []byte {
		p = p[:20+n]
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		return message4(same)(summed(same)(p))
	}
}

// shortQuote6 is shortQuote4 for ICMPv6.
func shortQuote6(n int) func([]byte) []byte {
	return func(p []byte) []byte {
		p = p[:40+n]
		binary.BigEndian.PutUint16(p[4:], uint16(n))
		return message6(same)(p)
	}
}

func withDestinationOptions(p []byte) []byte {
	out := append([]byte(nil), p[:40]...)
	out = append(out, protoIPv4, 0, 1, 4, 0, 0, 0, 0)
	out[6] = protoDestOpts
	out = append(out, p[40:]...)
	binary.BigEndian.PutUint16(out[4:], uint16(len(out)-40))
	return out
}
