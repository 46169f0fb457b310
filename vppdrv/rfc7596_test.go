package vppdrv

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

const side4, side6 = dataplane.SideIPv4, dataplane.SideIPv6

// TestInnerFragments: a fragment from a softwire is checked whether or not it
// shows the ports, whatever comes first.
func TestInnerFragments(t *testing.T) {
	b := newParties(t, nil)
	var id uint16
	// fragments are the two of a new packet from the port of b4Shared.
	fragments := func() (first, last []byte) {
		id++
		whole := udp4(netip.AddrPortFrom(shared, portShared), netip.AddrPortFrom(host, 53), 1200)
		return cut(whole, id, 0, 640), cut(whole, id, 640, len(whole)-20)
	}
	for _, tt := range []struct {
		name        string
		first, last netip.Addr // lwB4s
		lastFirst   bool
		out         int
	}{
		{"from its lwB4", b4Shared, b4Shared, false, 2},
		{"the last one first", b4Shared, b4Shared, true, 2},
		{"from another lwB4", b4Neighbor, b4Neighbor, false, 0},
		{"from another lwB4, the last one first", b4Neighbor, b4Neighbor, true, 0},
		{"the last one from another lwB4", b4Shared, b4Neighbor, false, 1},
		{"the last one from another lwB4, and first", b4Shared, b4Neighbor, true, 1},
		{"the first one from another lwB4", b4Neighbor, b4Shared, false, 1},
		{"from nobody", b4Nobody, b4Nobody, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first, last := fragments()
			packets := [][]byte{tunnelled(tt.first, br1, first), tunnelled(tt.last, br1, last)}
			if tt.lastFirst {
				packets[0], packets[1] = packets[1], packets[0]
			}
			out := b.exchange(t, side6, packets...)
			if len(out[side4]) != tt.out {
				t.Errorf("%d packets came out, want %d: %v", len(out[side4]), tt.out, out[side4])
			}
		})
	}
}

// cut is a fragment of a packet without options: octets from and to, of its
// payload.
func cut(packet []byte, id uint16, from, to int) []byte {
	const header, moreFragments = 20, 0x2000
	b := append([]byte(nil), packet[:header]...)
	b = append(b, packet[header+from:header+to]...)
	field := uint16(from / 8)
	if header+to < len(packet) {
		field |= moreFragments
	}
	ip := dissect(packet).Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	ip.Id, ip.FragOffset, ip.Flags = id, field&0x1fff, layers.IPv4Flag(field>>13)
	return serialize(ip, gopacket.Payload(b[header:]))
}

// TestSeveralBRs: an unknown lwB4 is answered by the BR address it sent to, and
// so are pings (RFC 7596 section 5.1: others it must ignore).
func TestSeveralBRs(t *testing.T) {
	br3 := addr("2001:db8:ffff::3")
	b := newBench(t, nil)
	b.up(t)
	n := network()
	n.BRs = append(n.BRs, br3)
	if err := b.Configure(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	all := parties(t)
	third := softwire.Softwire{IPv4: addr("100.64.1.3"), PortSet: all[0].PortSet, B4: addr("2001:db8:100:4::1"), BR: br3}
	apply(t, b, puts(append(all, third)))
	for br, sw := range map[netip.Addr]softwire.Softwire{br1: all[0], br2: all[2], br3: third} {
		stolen := udp4(netip.AddrPortFrom(sw.IPv4, portShared), netip.AddrPortFrom(host, 53), 10)
		out := b.exchange(t, side6,
			tunnelled(b4Nobody, br, stolen),
			icmp6(addr(far6), br, layers.ICMPv6TypeEchoRequest, 0, make([]byte, 8)),
		)
		if len(out[side4]) != 0 {
			t.Errorf("%s: a spoofed packet came out: %v", br, out[side4])
		}
		var kinds []string
		for _, p := range out[side6] {
			ip, icmp := layer[*layers.IPv6](p), layer[*layers.ICMPv6](p)
			if icmp == nil || !ip.SrcIP.Equal(br.AsSlice()) {
				t.Errorf("%s: %v", br, p)
				continue
			}
			kinds = append(kinds, icmp.TypeCode.String())
		}
		if want := []string{"DestinationUnreachable(SrcAddressFailedPolicy)", "EchoReply"}; !slices.Equal(kinds, want) {
			t.Errorf("%s answers %v, want %v", br, kinds, want)
		}
	}
}

// TestMSS: TCP never asks for more than fits through a softwire, whoever
// opens the connection.
func TestMSS(t *testing.T) {
	b := newParties(t, nil)
	const asked, want = 1460, 1420
	inside, outside := netip.AddrPortFrom(shared, portShared), netip.AddrPortFrom(host, 80)
	out := b.exchange(t, side4, syn(outside, inside, asked))[side6]
	out = append(out, b.exchange(t, side6, tunnelled(b4Shared, br1, syn(inside, outside, asked)))[side4]...)
	out = append(out, b.exchange(t, side6, tunnelled(b4Shared, br1, syn(inside, netip.AddrPortFrom(whole, 80), asked)))[side6]...)
	if len(out) != 3 {
		t.Fatalf("%d packets came out, want 3: %v", len(out), out)
	}
	for _, p := range out {
		tcp := layer[*layers.TCP](p)
		if tcp == nil || len(tcp.Options) != 1 || binary.BigEndian.Uint16(tcp.Options[0].OptionData) != want {
			t.Errorf("want an MSS of %d: %v", want, p)
			continue
		}
		ip := layer[*layers.IPv4](p)
		if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		if err, result := tcp.VerifyChecksum(); err != nil || !result.Valid {
			t.Errorf("checksum %+v, %v", result, err)
		}
	}
}

func syn(src, dst netip.AddrPort, mss uint16) []byte {
	ip := ip4(src.Addr(), dst.Addr(), layers.IPProtocolTCP)
	return withTransport(ip, &layers.TCP{
		SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), SYN: true, Window: 512,
		Options: []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: binary.BigEndian.AppendUint16(nil, mss)}},
	}, nil)
}

// TestMTU: errors state what fits into a tunnel packet, and what access networks
// say of tunnel packets is passed on as that (RFC 2473 sections 7 and 8).
func TestMTU(t *testing.T) {
	b := newParties(t, nil)
	want := func(name string, out map[dataplane.Side][]gopacket.Packet, mtu int) {
		t.Helper()
		if len(out[side6]) != 0 || len(out[side4]) != 1 {
			t.Fatalf("%s: %v", name, out)
		}
		ip, icmp := layer[*layers.IPv4](out[side4][0]), layer[*layers.ICMPv4](out[side4][0])
		if icmp == nil || icmp.TypeCode != layers.CreateICMPv4TypeCode(3, 4) || int(icmp.Seq) != mtu || !ip.DstIP.Equal(host.AsSlice()) {
			t.Errorf("%s: want 3/4 with an MTU of %d: %v", name, mtu, out[side4])
		}
	}
	packet := dissect(udp4(netip.AddrPortFrom(host, 53), netip.AddrPortFrom(shared, portShared), 1460))
	ip := layer[*layers.IPv4](packet)
	ip.Flags = layers.IPv4DontFragment
	whole := serialize(ip, gopacket.Payload(ip.Payload))
	want("too big", b.exchange(t, side4, whole), 1460)

	tooBig := binary.BigEndian.AppendUint32(nil, 1400)
	tooBig = append(tooBig, tunnelled(br1, b4Shared, whole)[:1232]...)
	want("relayed", b.exchange(t, side6, icmp6(addr(far6), br1, layers.ICMPv6TypePacketTooBig, 0, tooBig)), 1360)
}

// TestHopLimit: a tunnel packet ends here, so its last hop is enough; and a
// tunnel packet that we make starts anew.
func TestHopLimit(t *testing.T) {
	b := newParties(t, nil)
	last := ip6(b4Shared, br1, layers.IPProtocolIPv4)
	last.HopLimit = 1
	packet := udp4(netip.AddrPortFrom(shared, portShared), netip.AddrPortFrom(host, 53), 10)
	out := b.exchange(t, side6, serialize(last, gopacket.Payload(packet)))
	if len(out[side4]) != 1 {
		t.Errorf("with a hop limit of 1: %v", out)
	}
	almost := ip4(host, shared, layers.IPProtocolUDP)
	almost.TTL = 2
	out = b.exchange(t, side4, withTransport(almost, &layers.UDP{SrcPort: 53, DstPort: portShared}, nil))
	if len(out[side6]) != 1 {
		t.Fatalf("with a TTL of 2: %v", out)
	}
	if outer, inner := layer[*layers.IPv6](out[side6][0]), layer[*layers.IPv4](out[side6][0]); outer.HopLimit < 60 || inner.TTL != 1 {
		t.Errorf("hop limit %d, TTL %d", outer.HopLimit, inner.TTL)
	}
}

// TestCrossesOnce: a packet for nobody goes through VPP once, and is answered
// once.
func TestCrossesOnce(t *testing.T) {
	b := newParties(t, nil)
	for name, to := range map[string]netip.AddrPort{
		"address": netip.AddrPortFrom(addr("100.64.77.7"), 4000),
		"port":    netip.AddrPortFrom(shared, portNobody),
	} {
		t.Run(name, func(t *testing.T) {
			before := b.entered(t)
			b.vpp.CLI("clear trace")
			b.vpp.CLI("trace add af-packet-input 1")
			ctx := t.Context()
			if err := b.send(ctx, side4, udp4(netip.AddrPortFrom(host, 53), to, 10)); err != nil {
				t.Fatal(err)
			}
			trace := b.vpp.CLI("show trace")
			after := b.entered(t)
			for _, node := range []string{"ip4-lookup", "ip4-map", "ip6-lookup"} {
				if n := strings.Count(trace, ": "+node+"\n"); n != 1 {
					t.Errorf("it went through %s %d times:\n%s", node, n, trace)
				}
			}
			for tag, n := range after {
				want := before[tag]
				if strings.Contains(tag, ":encap:") || strings.Contains(tag, ":nobody:") {
					want++
				}
				if n != want {
					t.Errorf("%d packets came in by %s, before %d", n, tag, before[tag])
				}
			}
			out := b.drain(ctx, t, side4)
			if len(out) != 1 {
				t.Fatalf("answers: %v", out)
			}
			if icmp := layer[*layers.ICMPv4](out[0]); icmp == nil || icmp.TypeCode != layers.CreateICMPv4TypeCode(3, 1) {
				t.Errorf("answered by %v", out[0])
			}
		})
	}
}

// TestNoICMP: ICMPv4 of a side that is switched off goes nowhere but to the
// lwAFTR itself, and other packets are as ever (RFC 7596 section 8.1).
func TestNoICMP(t *testing.T) {
	for name, refuses := range map[string]map[dataplane.Side]bool{
		"of no side": {}, "of the IPv4 side": {side4: true}, "of lwB4s": {side6: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newParties(t, func(c *Config) {
				c.Forwarding.ICMPv4.FromIPv4, c.Forwarding.ICMPv4.FromB4 = !refuses[side4], !refuses[side6]
			})
			own := b.config.Forwarding.IPv4Address
			ping := func(src, dst netip.Addr, data int) []byte {
				return serialize(ip4(src, dst, layers.IPProtocolICMPv4), echo4(portShared), gopacket.Payload(make([]byte, data)))
			}
			inside := func(packet []byte) []byte { return tunnelled(b4Shared, br1, packet) }
			expiring := ip4(shared, host, layers.IPProtocolUDP)
			expiring.TTL = 1
			for _, tt := range []struct {
				name   string
				side   dataplane.Side
				packet []byte
				icmp   bool // of this side
				out    dataplane.Side
			}{
				{"ping to a shared address", side4, ping(host, shared, 56), true, side6},
				{"ping to a whole address", side4, ping(host, whole, 56), true, side6},
				{"short ping", side4, ping(host, shared, 1), true, side6},
				{"ping to the Internet", side6, inside(ping(shared, host, 56)), true, side4},
				{"ping to another lwB4", side6, inside(ping(shared, whole, 56)), true, side6},
				{"ping to the lwAFTR", side6, inside(ping(shared, own, 56)), false, side6},
				{"UDP to a lwB4", side4, udp4(netip.AddrPortFrom(host, 53), netip.AddrPortFrom(shared, portShared), 56), false, side6},
				{"UDP from a lwB4", side6, inside(udp4(netip.AddrPortFrom(shared, portShared), netip.AddrPortFrom(host, 53), 56)), false, side4},
				{"an error of the lwAFTR", side6, inside(withTransport(expiring, &layers.UDP{SrcPort: portShared, DstPort: 53}, nil)), false, side6},
			} {
				want := 1
				if tt.icmp && refuses[tt.side] {
					want = 0
				}
				if out := b.exchange(t, tt.side, tt.packet); len(out[tt.out]) != want || len(out[side4])+len(out[side6]) != want {
					t.Errorf("%s: %v, want %d packets", tt.name, out, want)
				}
			}
		})
	}
}

// TestOddTunnelPackets: the control logic forwards what ip6-map does not take,
// and answers what it must not be asked.
func TestOddTunnelPackets(t *testing.T) {
	excluding, err := portset.Of(6, 8, 5)
	if err != nil {
		t.Fatal(err)
	}
	low := softwire.Softwire{IPv4: addr("100.64.1.9"), PortSet: excluding, B4: b4Shared, BR: br1}
	b := newParties(t, nil)
	apply(t, b, puts([]softwire.Softwire{low}))

	packet := udp4(netip.AddrPortFrom(shared, portShared), netip.AddrPortFrom(host, 53), 20)
	const encapsulationLimit = 4 // RFC 2473 section 4.1.1
	options := []byte{byte(layers.IPProtocolIPv4), 0, encapsulationLimit, 1, 4, 1, 1, 0}
	out := b.exchange(t, side6, serialize(ip6(b4Shared, br1, layers.IPProtocolIPv6Destination), gopacket.Payload(append(options, packet...))))
	if len(out[side4]) != 1 || len(out[side6]) != 0 {
		t.Errorf("with an encapsulation limit: %v", out)
	} else if ip := layer[*layers.IPv4](out[side4][0]); ip.TTL != 63 {
		t.Errorf("with an encapsulation limit the TTL is %d", ip.TTL)
	}
	for name, refused := range map[string][]byte{
		"to another BR address":         tunnelled(b4Shared, br2, packet),
		"from a port of the low block":  tunnelled(b4Shared, br1, udp4(netip.AddrPortFrom(low.IPv4, 500), netip.AddrPortFrom(host, 53), 20)),
		"with options, from a stranger": serialize(ip6(b4Nobody, br1, layers.IPProtocolIPv6Destination), gopacket.Payload(append(options, packet...))),
	} {
		out := b.exchange(t, side6, refused)
		if len(out[side4]) != 0 || len(out[side6]) != 1 {
			t.Errorf("%s: %v", name, out)
			continue
		}
		icmp := layer[*layers.ICMPv6](out[side6][0])
		if icmp == nil || icmp.TypeCode != layers.CreateICMPv6TypeCode(1, 5) {
			t.Errorf("%s: answered by %v", name, out[side6][0])
		}
	}
}

// TestFragments: fragments get through that belong to somebody, in any order,
// and those of nobody do not.
func TestFragments(t *testing.T) {
	b := newParties(t, nil)
	outside := netip.AddrPortFrom(host, 53)
	inShared, inWhole := netip.AddrPortFrom(shared, portShared), netip.AddrPortFrom(whole, 9)
	nobodys := netip.AddrPortFrom(shared, portNobody)
	const size = 1200
	var id uint16
	for _, tt := range []struct {
		name     string
		src, dst netip.AddrPort
		b4, br   netip.Addr // of the sender, if it is behind a lwB4
		out      [2]int     // packets by side
	}{
		{"to a shared address", outside, inShared, netip.Addr{}, netip.Addr{}, [2]int{side6: 2}},
		{"to a whole address", outside, inWhole, netip.Addr{}, netip.Addr{}, [2]int{side6: 2}},
		{"from a whole address", inWhole, outside, b4Whole, br2, [2]int{side4: 2}},
		{"from a shared address to a whole one", inShared, inWhole, b4Shared, br1, [2]int{side6: 2}},
		{"from a whole address to a shared one", inWhole, inShared, b4Whole, br2, [2]int{side6: 2}},
		// The first one is answered.
		{"to nobody", outside, nobodys, netip.Addr{}, netip.Addr{}, [2]int{side4: 1}},
		{"from a stranger in the name of a whole address", inWhole, outside, b4Nobody, br2, [2]int{}},
	} {
		for _, backwards := range []bool{false, true} {
			id++
			packet := udp4(tt.src, tt.dst, size)
			parts := [][]byte{cut(packet, id, 0, 640), cut(packet, id, 640, len(packet)-ip4Header)}
			if backwards {
				slices.Reverse(parts)
			}
			side := side4
			if tt.b4.IsValid() {
				side = side6
				for i := range parts {
					parts[i] = tunnelled(tt.b4, tt.br, parts[i])
				}
			}
			out := b.exchange(t, side, parts...)
			if len(out[side4]) != tt.out[side4] || len(out[side6]) != tt.out[side6] {
				t.Errorf("%s, backwards %t: %v, want %v", tt.name, backwards, out, tt.out)
			}
		}
	}
}
