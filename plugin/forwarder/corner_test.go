package forwarder

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// corner is a Worker over fuzzTable. The cases that use it were found by
// comparison with a lwAFTR written from the RFC texts.
type corner struct {
	*testing.T
	forwarder *Forwarder
	worker    *Worker
	// The softwires of fuzzTable: one on a shared address, and a whole one.
	shared, whole softwire.Softwire
}

func newCorner(t *testing.T, change func(*Config)) *corner {
	t.Helper()
	c := DefaultConfig()
	if change != nil {
		change(&c)
	}
	f, err := New(c, newMemory())
	if err != nil {
		t.Fatal(err)
	}
	all := fuzzTable(t, f)
	return &corner{t, f, f.NewWorker(), all[0], all[2]}
}

// send processes packets one after the other and returns all that is sent.
func (c *corner) send(side dataplane.Side, packets ...[]byte) []Output {
	c.Helper()
	var out []Output
	for _, p := range packets {
		buf := append(make([]byte, headroom), p...)
		c.worker.Begin(time.Unix(1_700_000_000, 0))
		c.worker.Packet(side, buf, headroom, len(buf))
		for _, o := range c.worker.End() {
			out = append(out, Output{o.Side, bytes.Clone(o.Packet)})
		}
	}
	return out
}

// one requires that exactly one packet is sent, on that side.
func (c *corner) one(out []Output, side dataplane.Side) []byte {
	c.Helper()
	if len(out) != 1 || out[0].Side != side {
		c.Fatalf("sent %d packets, want one to the %s side: %x", len(out), side, out)
	}
	return out[0].Packet
}

// counts requires how often events were counted.
func (c *corner) counts(want map[Event]uint64) {
	c.Helper()
	counters, err := c.forwarder.Counters(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	for _, got := range counters.Events {
		for e, n := range want {
			if e.String() == got.Name && got.Packets != n {
				c.Errorf("%s is counted %d times, want %d", e, got.Packets, n)
			}
		}
	}
}

var (
	cornerHost   = netip.MustParseAddr("198.51.100.7")
	cornerRouter = netip.MustParseAddr("2001:db8:200::1")
	cornerOwn    = netip.MustParseAddr("192.0.0.8")
)

// packet4 is an IPv4 packet with TTL 64, changed and with its checksum right.
func packet4(src, dst netip.Addr, proto uint8, payload []byte, change func(b []byte)) []byte {
	b := make([]byte, header4Len, header4Len+len(payload))
	b[0], b[8], b[9] = 4<<4|header4Len/4, 64, proto
	binary.BigEndian.PutUint16(b[2:], uint16(header4Len+len(payload)))
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	if change != nil {
		change(b)
	}
	binary.BigEndian.PutUint16(b[10:], checksum.Of(b))
	return append(b, payload...)
}

// asFragment makes a packet4 a fragment.
func asFragment(id uint16, offset int, more bool) func(b []byte) {
	return func(b []byte) {
		field := uint16(offset / 8)
		if more {
			field |= 0x2000
		}
		binary.BigEndian.PutUint16(b[4:], id)
		binary.BigEndian.PutUint16(b[6:], field)
	}
}

func dontFragment(b []byte) { b[6] |= 0x40 }

// packet6 is an IPv6 packet of traffic class zero.
func packet6(src, dst netip.Addr, next uint8, payload []byte) []byte {
	b := make([]byte, header6Len)
	s, d := src.As16(), dst.As16()
	put6(b, 0, 0, len(payload), next, 64, &s, &d)
	return append(b, payload...)
}

func throughTunnel(s softwire.Softwire, inner []byte) []byte {
	return packet6(s.B4, s.BR, protoIPv4, inner)
}

// ports4 is a transport header with ports, and n octets in all.
func ports4(src, dst uint16, n int) []byte {
	b := make([]byte, n)
	binary.BigEndian.PutUint16(b, src)
	binary.BigEndian.PutUint16(b[2:], dst)
	return b
}

// icmp4 is an ICMPv4 message.
func icmp4(kind, code uint8, data []byte) []byte {
	b := append([]byte{kind, code, 0, 0, 0, 0, 0, 0}, data...)
	binary.BigEndian.PutUint16(b[2:], checksum.Of(b))
	return b
}

// icmp6 is an ICMPv6 message in a packet.
func icmp6(src, dst netip.Addr, kind, code uint8, rest uint32, data []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind, code, 0, 0}, rest)
	b = append(b, data...)
	s, d := src.As16(), dst.As16()
	binary.BigEndian.PutUint16(b[2:], checksum.IPv6(&s, &d, protoICMPv6, b))
	return packet6(src, dst, protoICMPv6, b)
}

const sharedPort = 0x4001 // of corner.shared

func TestOwnPacketsDoNotTakeTheHopLimitOfTunnels(t *testing.T) {
	c := newCorner(t, func(c *Config) { c.HopLimit = 1 })
	unbound := packet4(cornerHost, c.shared.IPv4, protoUDP, ports4(80, 1, 8), nil)
	if p := c.one(c.send(dataplane.SideIPv4, unbound), dataplane.SideIPv4); p[8] != 64 {
		t.Errorf("an ICMPv4 error has TTL %d", p[8])
	}
	ping := packet4(cornerHost, cornerOwn, protoICMP, icmp4(icmp4Echo, 0, nil), nil)
	if p := c.one(c.send(dataplane.SideIPv4, ping), dataplane.SideIPv4); p[8] != 64 {
		t.Errorf("an ICMPv4 echo reply has TTL %d", p[8])
	}
	ping6 := icmp6(cornerRouter, c.shared.BR, icmp6Echo, 0, 0, nil)
	if p := c.one(c.send(dataplane.SideIPv6, ping6), dataplane.SideIPv6); p[7] != 64 {
		t.Errorf("an ICMPv6 echo reply has hop limit %d", p[7])
	}
}

func TestOwnPacketsFitTheIPv4MTU(t *testing.T) {
	for name, packet := range map[string][]byte{
		"echo reply": packet4(cornerHost, cornerOwn, protoICMP, icmp4(icmp4Echo, 0, make([]byte, 1000)), dontFragment),
		"error":      packet4(cornerHost, netip.MustParseAddr("192.0.2.1"), protoUDP, ports4(80, 1, 600), nil),
	} {
		t.Run(name, func(t *testing.T) {
			c := newCorner(t, func(c *Config) { c.IPv4MTU = 300 })
			out := c.send(dataplane.SideIPv4, packet)
			if len(out) < 2 {
				t.Fatalf("%d packets, want fragments", len(out))
			}
			for _, o := range out {
				if len(o.Packet) > 300 {
					t.Errorf("%d octets, the MTU is 300", len(o.Packet))
				}
			}
			c.counts(map[Event]uint64{Fragmented: 1})
		})
	}
}

func TestEchoReplyReturnsNoSourceRoute(t *testing.T) {
	c := newCorner(t, nil)
	message := icmp4(icmp4Echo, 0, []byte("twelve octets"))
	route := []byte{0x83, 7, 4, 198, 51, 100, 20, 0}
	ping := packet4(cornerHost, cornerOwn, protoICMP, slices.Concat(route, message), func(b []byte) {
		b[0] = 4<<4 | 7
	})
	binary.BigEndian.PutUint16(ping[10:], 0)
	binary.BigEndian.PutUint16(ping[10:], checksum.Of(ping[:28]))
	reply := c.one(c.send(dataplane.SideIPv4, ping), dataplane.SideIPv4)
	if reply[0] != 0x45 || len(reply) != header4Len+len(message) || !bytes.Equal(reply[28:], message[8:]) {
		t.Errorf("echo reply %x", reply)
	}
}

func TestPingInFragmentsIsAnswered(t *testing.T) {
	message := icmp4(icmp4Echo, 0, make([]byte, 24))
	for name, c := range map[string]struct {
		side dataplane.Side
		wrap func(c *corner, p []byte) []byte
	}{
		"from the IPv4 side": {dataplane.SideIPv4, func(_ *corner, p []byte) []byte { return p }},
		"from a lwB4":        {dataplane.SideIPv6, func(c *corner, p []byte) []byte { return throughTunnel(c.whole, p) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCorner(t, nil)
			src := cornerHost
			if c.side == dataplane.SideIPv6 {
				src = r.whole.IPv4
			}
			first := packet4(src, cornerOwn, protoICMP, message[:16], asFragment(7, 0, true))
			last := packet4(src, cornerOwn, protoICMP, message[16:], asFragment(7, 16, false))
			r.one(r.send(c.side, c.wrap(r, last), c.wrap(r, first)), c.side)
			r.counts(map[Event]uint64{EchoReplyIPv4: 1, Reassembled: 1, DropLocal: 0})
		})
	}
}

func TestICMPErrorWithWrongQuotedChecksumIsDropped(t *testing.T) {
	// RFC 5508 REQ-3 a.
	c := newCorner(t, nil)
	quoted := packet4(c.shared.IPv4, cornerHost, protoUDP, ports4(sharedPort, 80, 8), nil)
	send := func() []Output {
		return c.send(dataplane.SideIPv4, packet4(cornerHost, c.shared.IPv4, protoICMP, icmp4(icmp4Unreachable, 3, quoted), nil))
	}
	c.one(send(), dataplane.SideIPv6)
	quoted[10] ^= 0xff
	if out := send(); len(out) > 0 {
		t.Errorf("forwarded: %x", out)
	}
	c.counts(map[Event]uint64{DropICMPv4Unmatched: 1})
}

func TestEveryInnerFragmentBringsItsCongestionMark(t *testing.T) {
	// RFC 6040 section 4.2, RFC 3168 section 5.3.
	const ect0, ce = ecnECT0, ecnCE
	for name, marked := range map[string]int{"first": 0, "last": 1} {
		t.Run(name, func(t *testing.T) {
			c := newCorner(t, nil)
			data := ports4(sharedPort, 80, 32)
			var packets [][]byte
			for i, at := range []int{0, 16} {
				fragment := asFragment(7, at, at == 0)
				p := throughTunnel(c.shared, packet4(c.shared.IPv4, cornerHost, protoUDP, data[at:at+16], func(b []byte) {
					fragment(b)
					b[1] = ect0
				}))
				if i == marked {
					p[1] |= ce << 4
				}
				packets = append(packets, p)
			}
			if p := c.one(c.send(dataplane.SideIPv6, packets...), dataplane.SideIPv4); p[1]&ecnMask != ce {
				t.Errorf("the whole packet has ECN %d", p[1]&ecnMask)
			}
		})
	}
	t.Run("drop", func(t *testing.T) {
		c := newCorner(t, nil)
		p := throughTunnel(c.shared, packet4(c.shared.IPv4, cornerHost, protoUDP, ports4(sharedPort, 80, 16), asFragment(7, 0, true)))
		p[1] |= ce << 4
		c.send(dataplane.SideIPv6, p)
		c.counts(map[Event]uint64{DropECN: 1, FragmentsHeld: 0})
	})
}

func TestHairpinnedFragmentsMeetNoneFromTheInternet(t *testing.T) {
	c := newCorner(t, nil)
	data := ports4(80, sharedPort, 32)
	first := packet4(c.whole.IPv4, c.shared.IPv4, protoUDP, data[:16], asFragment(7, 0, true))
	last := packet4(c.whole.IPv4, c.shared.IPv4, protoUDP, data[16:], asFragment(7, 16, false))
	// Somebody on the Internet claims to be the lwB4.
	out := slices.Concat(
		c.send(dataplane.SideIPv6, throughTunnel(c.whole, first)),
		c.send(dataplane.SideIPv4, last),
	)
	if len(out) > 0 {
		t.Errorf("a packet was made of fragments from both sides: %x", out)
	}
	c.one(c.send(dataplane.SideIPv6, throughTunnel(c.whole, last)), dataplane.SideIPv6)
}

func TestInnerFragmentOfAStranger(t *testing.T) {
	c := newCorner(t, nil)
	p := packet4(c.shared.IPv4, cornerHost, protoUDP, ports4(sharedPort, 80, 16), asFragment(7, 0, true))
	c.one(c.send(dataplane.SideIPv6, packet6(cornerRouter, c.shared.BR, protoIPv4, p)), dataplane.SideIPv6)
	c.counts(map[Event]uint64{DropFragmentStranger: 1, DropInnerSource: 0, SentICMPv6Policy: 1, FragmentsHeld: 0})
}

func TestFragmentsDoNotPassFilters(t *testing.T) {
	rules := []FilterRule{{Action: FilterDrop, Protocol: Protocol(protoIPv4)}}
	t.Run("in", func(t *testing.T) {
		c := newCorner(t, func(c *Config) { c.Filters.IPv6In = rules })
		p := packet4(c.shared.IPv4, cornerHost, protoUDP, ports4(sharedPort, 80, 44), nil)
		fragment := func(at int, more uint16) []byte {
			header := []byte{protoIPv4, 0, 0, 0, 0, 0, 0, 9}
			binary.BigEndian.PutUint16(header[2:], uint16(at)|more)
			return packet6(c.shared.B4, c.shared.BR, nextFragment, append(header, p[at:at+32]...))
		}
		if out := c.send(dataplane.SideIPv6, fragment(0, 1), fragment(32, 0)); len(out) > 0 {
			t.Errorf("passed: %x", out)
		}
		c.counts(map[Event]uint64{DropIPv6Filter: 1, Reassembled: 1})
	})
	t.Run("out", func(t *testing.T) {
		c := newCorner(t, func(c *Config) { c.Filters.IPv6Out = rules })
		p := packet4(cornerHost, c.shared.IPv4, protoUDP, ports4(80, sharedPort, 2000), nil)
		if out := c.send(dataplane.SideIPv4, p); len(out) > 0 {
			t.Errorf("passed: %x", out)
		}
		c.counts(map[Event]uint64{DropIPv6Filter: 2})
	})
}

func TestNothingIsSentToOurOwnAddresses(t *testing.T) {
	c := newCorner(t, nil)
	spoofed := throughTunnel(softwire.Softwire{B4: c.whole.BR, BR: c.shared.BR},
		packet4(c.shared.IPv4, cornerHost, protoUDP, ports4(sharedPort, 80, 8), nil))
	unbound := packet4(cornerOwn, c.shared.IPv4, protoUDP, ports4(80, 1, 8), nil)
	if out := slices.Concat(c.send(dataplane.SideIPv6, spoofed), c.send(dataplane.SideIPv4, unbound)); len(out) > 0 {
		t.Errorf("sent: %x", out)
	}
	c.counts(map[Event]uint64{DropOuterSource: 1, SentICMPv6Policy: 0, DropIPv4Martian: 1})
}

func TestRelayedErrorIsLikeOurOwn(t *testing.T) {
	c := newCorner(t, nil)
	sent := packet4(cornerHost, c.shared.IPv4, protoUDP, ports4(80, sharedPort, 8), func(b []byte) { b[1] = 0xb9 })
	relay := func() []Output {
		quoted := packet6(c.shared.BR, c.shared.B4, protoIPv4, sent)
		return c.send(dataplane.SideIPv6, icmp6(cornerRouter, c.shared.BR, icmp6Unreachable, 0, 0, quoted))
	}
	if p := c.one(relay(), dataplane.SideIPv4); p[1] != 0xb8 {
		t.Errorf("TOS %#02x, want that of the packet without ECN (RFC 1812 section 4.3.2.5)", p[1])
	}
	sent[10] ^= 0xff
	if out := relay(); len(out) > 0 {
		t.Errorf("relayed about a header that we never sent: %x", out)
	}
	c.counts(map[Event]uint64{RelayedICMPv6: 1, DropICMPv6Unrelayed: 1})
}

func TestTooBigQuotesTheMSSThatCame(t *testing.T) {
	// RFC 1812 section 4.3.2.3.
	segment := ports4(80, sharedPort, 1480)
	segment[12], segment[13] = 6<<4, tcpFlagSYN
	copy(segment[20:], []byte{tcpOptionMSS, 4, 0x05, 0xb4})
	c := newCorner(t, nil)
	toB4 := packet4(cornerHost, c.shared.IPv4, protoTCP, segment, dontFragment)
	p := c.one(c.send(dataplane.SideIPv4, toB4), dataplane.SideIPv4)
	if got := p[header4Len+icmpHeaderLen+header4Len:][:24]; !bytes.Equal(got, segment[:24]) {
		t.Errorf("quoted %x, want %x", got, segment[:24])
	}
	c.counts(map[Event]uint64{DropTooBig: 1, ClampedMSS: 0})
}

func TestWhatCannotBeCutIsNoTraffic(t *testing.T) {
	c := newCorner(t, func(c *Config) { c.IPv4MTU = 576 })
	options := []byte{0x83, 200, 4, 0} // longer than the header
	p := packet4(c.shared.IPv4, cornerHost, protoUDP, slices.Concat(options, ports4(sharedPort, 80, 800)), func(b []byte) {
		b[0] = 4<<4 | 6
	})
	binary.BigEndian.PutUint16(p[10:], 0)
	binary.BigEndian.PutUint16(p[10:], checksum.Of(p[:24]))
	if out := c.send(dataplane.SideIPv6, throughTunnel(c.shared, p)); len(out) > 0 {
		t.Errorf("sent: %x", out)
	}
	c.counts(map[Event]uint64{DropTooBig: 1, Fragmented: 0})
	counters, err := c.forwarder.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if counters.Decapsulated != (dataplane.Traffic{}) {
		t.Errorf("counted as forwarded: %+v", counters.Decapsulated)
	}
}
