package netio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// segments cuts packet and copies the segments.
func segments(packet []byte, vnet vnetHeader) ([][]byte, error) {
	var s segmenter
	if err := s.start(packet, vnet); err != nil {
		return nil, err
	}
	var all [][]byte
	for n := s.next(); n > 0; n = s.next() {
		b := make([]byte, n)
		s.take(b)
		all = append(all, b)
	}
	return all, nil
}

func gso(kind uint8, size uint16) vnetHeader {
	return vnetHeader{flags: unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, gsoType: kind, gsoSize: size}
}

func TestSegment(t *testing.T) {
	tcp, udp := tcpSpec(), udpSpec()
	tcp.flags = tcpACK | tcpPSH | tcpFIN | tcpCWR
	tcp6, udp6 := tcp, udp
	tcp6.source, tcp6.destination = leftIPv6, rightIPv6
	udp6.source, udp6.destination = leftIPv6, rightIPv6
	limit := []byte{4, 0, 4, 1, 4, 1, 1, 0} // RFC 2473 section 4.1.1: tunnel encapsulation limit

	for _, test := range []struct {
		name    string
		spec    flowSpec
		kind    uint8
		size    uint16
		payload int
		want    int
		wrap    func([]byte) []byte
	}{
		{"TCP", tcp, unix.VIRTIO_NET_HDR_GSO_TCPV4, 1448, 10000, 7, nil},
		{"TCP with ECN", tcp, unix.VIRTIO_NET_HDR_GSO_TCPV4 | unix.VIRTIO_NET_HDR_GSO_ECN, 1448, 2896, 2, nil},
		{"TCP odd size", tcp, unix.VIRTIO_NET_HDR_GSO_TCPV4, 535, 5001, 10, nil},
		{"TCP as long as can be", tcp, unix.VIRTIO_NET_HDR_GSO_TCPV4, 1448, 65535 - 52, 46, nil},
		{"TCP one byte at a time", tcp, unix.VIRTIO_NET_HDR_GSO_TCPV4, 1, 300, 300, nil},
		{"TCP in one", tcp, unix.VIRTIO_NET_HDR_GSO_TCPV4, 1448, 1448, 1, nil},
		{"TCP without payload", tcp, unix.VIRTIO_NET_HDR_GSO_TCPV4, 1448, 0, 1, nil},
		{"UDP", udp, unix.VIRTIO_NET_HDR_GSO_UDP_L4, 1200, 5000, 5, nil},
		{"TCP over IPv6", tcp6, unix.VIRTIO_NET_HDR_GSO_TCPV6, 1428, 10000, 8, nil},
		{"UDP over IPv6", udp6, unix.VIRTIO_NET_HDR_GSO_UDP_L4, 1200, 5000, 5, nil},
		{"TCP in a tunnel", tcp, unix.VIRTIO_NET_HDR_GSO_TCPV4, 1408, 10000, 8,
			func(b []byte) []byte { return inTunnel(b, protocolIPv4) }},
		{"TCP in a tunnel with options", tcp, unix.VIRTIO_NET_HDR_GSO_TCPV4, 1400, 10000, 8,
			func(b []byte) []byte { return inTunnel(b, protocolDestination, limit...) }},
		{"UDP in a tunnel", udp, unix.VIRTIO_NET_HDR_GSO_UDP_L4, 1200, 5000, 5,
			func(b []byte) []byte { return inTunnel(b, protocolIPv4) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			payload := bytesUpTo(test.payload)
			super := test.spec.build(payload)
			if test.wrap != nil {
				super = test.wrap(super)
			}
			// What a super-packet's checksums say does not count.
			got, err := segments(super, gso(test.kind, test.size))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != test.want {
				t.Fatalf("%d segments instead of %d", len(got), test.want)
			}
			for i, b := range got {
				// Each must be what the sender would have built itself.
				spec := test.spec
				part := payload[min(len(payload), i*int(test.size)):min(len(payload), (i+1)*int(test.size))]
				spec.id += uint16(i)
				spec.sequence += uint32(i * int(test.size))
				if i > 0 {
					spec.flags &^= tcpCWR
				}
				if i < len(got)-1 {
					spec.flags &^= tcpPSH | tcpFIN
				}
				want := spec.build(part)
				if test.wrap != nil {
					want = test.wrap(want)
				}
				if !bytes.Equal(b, want) {
					t.Fatalf("segment %d\n% x instead of\n% x", i, b, want)
				}
				if err := checkPacket(b); err != nil {
					t.Fatalf("segment %d: %v", i, err)
				}
			}
		})
	}
}

func TestSegmentRefuses(t *testing.T) {
	tcp := tcpSpec().build(bytesUpTo(5000))
	change := func(packet []byte, f func([]byte)) []byte {
		packet = bytes.Clone(packet)
		f(packet)
		return packet
	}
	const tcp4 = unix.VIRTIO_NET_HDR_GSO_TCPV4
	for _, test := range []struct {
		name   string
		packet []byte
		vnet   vnetHeader
	}{
		{"nothing", nil, gso(tcp4, 1000)},
		{"no IP", change(tcp, func(b []byte) { b[0] = 0x55 }), gso(tcp4, 1000)},
		{"short IPv4 header", tcp[:19], gso(tcp4, 1000)},
		{"short TCP header", tcp[:39], gso(tcp4, 1000)},
		{"TCP options cut off", tcp[:50], gso(tcp4, 1000)},
		{"TCP header length", change(tcp, func(b []byte) { b[32] = 4 << 4 }), gso(tcp4, 1000)},
		{"IPv4 header length", change(tcp, func(b []byte) { b[0] = 0x44 }), gso(tcp4, 1000)},
		{"fragment", change(tcp, func(b []byte) { b[7] = 1 }), gso(tcp4, 1000)},
		{"first fragment", change(tcp, func(b []byte) { b[6] = 0x20 }), gso(tcp4, 1000)},
		{"segments of nothing", tcp, gso(tcp4, 0)},
		{"segments too long for IPv4", tcp, gso(tcp4, 65500)},
		{"UDP asked, TCP found", tcp, gso(unix.VIRTIO_NET_HDR_GSO_UDP_L4, 1000)},
		{"IPv6 asked, IPv4 found", tcp, gso(unix.VIRTIO_NET_HDR_GSO_TCPV6, 1000)},
		{"fragments of UDP asked", udpSpec().build(bytesUpTo(5000)), gso(unix.VIRTIO_NET_HDR_GSO_UDP, 1000)},
		{"unknown kind", tcp, gso(0x20|tcp4, 1000)},
		{"ICMP", change(tcp, func(b []byte) { b[9] = 1 }), gso(tcp4, 1000)},
		{"tunnel cut off", inTunnel(tcp, protocolIPv4)[:45], gso(tcp4, 1000)},
		{"tunnel in a tunnel", inTunnel(inTunnel(tcp, protocolIPv4), 41), gso(tcp4, 1000)},
		{"endless options", inTunnel(nil, protocolDestination, protocolDestination, 255, 0, 0, 0, 0, 0, 0), gso(tcp4, 1000)},
		{"options cut off", inTunnel(nil, protocolHopByHop, protocolIPv4, 0), gso(tcp4, 1000)},
		{"routing header", inTunnel(tcp, 43, protocolIPv4, 0, 0, 0, 0, 0, 0, 0), gso(tcp4, 1000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, err := segments(test.packet, test.vnet); !errors.Is(err, errSuper) {
				t.Fatalf("%d segments, error %v", len(got), err)
			}
		})
	}
}

// FuzzSegment cuts any bytes, and puts the segments together again.
func FuzzSegment(f *testing.F) {
	tcp := tcpSpec()
	f.Add(uint8(unix.VIRTIO_NET_HDR_GSO_TCPV4), uint16(100), tcp.build(bytesUpTo(450)))
	f.Add(uint8(unix.VIRTIO_NET_HDR_GSO_TCPV4), uint16(100), inTunnel(tcp.build(bytesUpTo(450)), protocolIPv4))
	f.Add(uint8(unix.VIRTIO_NET_HDR_GSO_UDP_L4), uint16(100), udpSpec().build(bytesUpTo(450)))
	tcp.source, tcp.destination = leftIPv6, rightIPv6
	f.Add(uint8(unix.VIRTIO_NET_HDR_GSO_TCPV6), uint16(100), tcp.build(bytesUpTo(450)))
	f.Fuzz(func(t *testing.T, kind uint8, size uint16, packet []byte) {
		if len(packet) > MaxPacket {
			t.Skip("longer than what netio receives")
		}
		before := bytes.Clone(packet)
		got, err := segments(packet, gso(kind, size))
		if err != nil {
			return
		}
		if !bytes.Equal(packet, before) {
			t.Fatal("the super-packet has changed")
		}
		headers := len(got[len(got)-1])
		var payload []byte
		for i, b := range got {
			if i < len(got)-1 {
				headers = len(b) - int(size)
			} else if len(got) == 1 {
				headers = headerLength(b)
			}
			if len(b) > headers+int(size) {
				t.Fatalf("segment %d of %d bytes", i, len(b))
			}
			if err := checkPacket(b); err != nil {
				t.Fatalf("segment %d: %v", i, err)
			}
			payload = append(payload, b[headers:]...)
		}
		if !bytes.Equal(payload, packet[headers:]) {
			t.Fatal("the payloads together are not the super-packet's")
		}
	})
}

// headerLength is the length of all headers of a packet that has passed
// checkPacket.
func headerLength(b []byte) int {
	at, next := 0, b[9]
	if b[0]>>4 == 6 {
		next, at = b[6], 40
		for next == 0 || next == 60 {
			next, at = b[at], at+8*(1+int(b[at+1]))
		}
	}
	if b[at]>>4 == 4 && (at == 0 || next == 4) {
		next, at = b[at+9], at+int(b[at]&15)*4
	}
	if next == 17 {
		return at + 8
	}
	return at + int(b[at+12]>>4)*4
}

func TestCompleteChecksum(t *testing.T) {
	for _, spec := range []flowSpec{tcpSpec(), udpSpec()} {
		for _, size := range []int{0, 1, 2, 3, 31, 32, 33, 1447, 1448, 65000} {
			want := spec.build(bytesUpTo(size))
			packet := bytes.Clone(want)
			h, err := findHeaders(packet)
			if err != nil {
				t.Fatal(err)
			}
			// What the kernel leaves in the field is the pseudo-header's sum.
			sum := ^slowSum(packet[12:20], []byte{0, h.protocol}, binary.BigEndian.AppendUint16(nil, uint16(len(packet)-h.transport)))
			binary.BigEndian.PutUint16(packet[h.checksumAt():], sum)
			if !completeChecksum(packet, h.transport, h.checksumAt()-h.transport) || !bytes.Equal(packet, want) {
				t.Errorf("protocol %d with %d bytes: wrong checksum", h.protocol, size)
			}
		}
	}
	short := make([]byte, 37)
	if completeChecksum(short, 20, 16) || !completeChecksum(append(short, 0), 20, 16) {
		t.Error("a checksum field outside the packet is not told from one inside")
	}
}

func TestSumWords(t *testing.T) {
	b := bytesUpTo(4096)
	for n := range len(b) {
		if got, want := ^checksum.Sum(b[:n], 0), slowSum(b[:n]); got != want {
			t.Fatalf("%d bytes: %04x instead of %04x", n, got, want)
		}
	}
	ones := bytes.Repeat([]byte{0xff}, 65536)
	if got := checksum.Sum(ones, 0xffff); got != 0xffff {
		t.Fatalf("carries are lost: %04x", got)
	}
}
