package forwarder

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// fuzzTable is what fuzzed packets meet: a shared address, a whole one, and two
// BR addresses.
func fuzzTable(t testing.TB, f *Forwarder) []softwire.Softwire {
	set := func(a, k uint8, psid uint16) portset.PortSet {
		s, err := portset.Of(a, k, psid)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ip, ip6 := netip.MustParseAddr, netip.MustParseAddr
	all := []softwire.Softwire{
		{IPv4: ip("192.0.2.1"), PortSet: set(0, 2, 1), B4: ip6("2001:db8:1::1"), BR: ip6("2001:db8:ff::1")},
		{IPv4: ip("192.0.2.1"), PortSet: set(0, 2, 2), B4: ip6("2001:db8:1::2"), BR: ip6("2001:db8:ff::1")},
		{IPv4: ip("192.0.2.2"), PortSet: set(0, 0, 0), B4: ip6("2001:db8:1::3"), BR: ip6("2001:db8:ff::2")},
		{IPv4: ip("192.0.2.3"), PortSet: set(4, 4, 7), B4: ip6("2001:db8:1::4"), BR: ip6("2001:db8:ff::2")},
	}
	var ops []dataplane.Op
	for _, s := range all {
		ops = append(ops, dataplane.Op{Kind: dataplane.Put, Softwire: s})
	}
	network := dataplane.Network{
		Pools: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		BRs:   []netip.Addr{all[0].BR, all[2].BR},
	}
	if err := f.Configure(t.Context(), network); err != nil {
		t.Fatal(err)
	}
	results, err := f.Apply(t.Context(), ops)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Outcome != dataplane.Programmed {
			t.Fatalf("%s: %v", all[i], r.Err)
		}
	}
	return all
}

// FuzzWorker feeds a Worker sequences of packets: each is a side and a pause in
// one octet, a length in two, and that many octets. Nothing may panic, and what
// comes out must be well formed and permitted.
func FuzzWorker(f *testing.F) {
	for _, seed := range fuzzSeeds(f) {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	forwarders := make(map[bool]*Forwarder)
	var all []softwire.Softwire
	for _, small := range []bool{false, true} {
		c := DefaultConfig()
		c.Reassembly.IPv4.MaxPackets, c.Reassembly.IPv4.MaxBytes = 16, 128<<10
		if small { // everything that has to do with size happens
			c.TunnelMTU, c.IPv4MTU, c.IgnoreDF = 1280, 68, true
			c.Reassembly.IPv4.MaxBytes = 4096
		}
		c.Reassembly.IPv6 = c.Reassembly.IPv4
		fw, err := New(c, newMemory())
		if err != nil {
			f.Fatal(err)
		}
		all = fuzzTable(f, fw)
		forwarders[small] = fw
	}
	f.Fuzz(func(t *testing.T, in []byte, small bool) {
		fw := forwarders[small]
		w := fw.NewWorker()
		now := time.Unix(1_700_000_000, 0)
		for packets := 0; len(in) >= 3 && packets < 64; packets++ {
			side := dataplane.Side(in[0] & 1)
			now = now.Add(time.Duration(in[0]>>1) * 50 * time.Millisecond)
			n := min(int(binary.BigEndian.Uint16(in[1:])), len(in)-3)
			buf := make([]byte, headroom+n)
			copy(buf[headroom:], in[3:3+n])
			in = in[3+n:]
			w.Begin(now)
			w.Expect(side, buf[headroom:])
			w.Packet(side, buf, headroom, len(buf))
			for _, o := range w.End() {
				permitted(t, fw.config, all, o)
			}
		}
	})
}

// permitted checks one packet that came out of a Worker.
func permitted(t *testing.T, c Config, all []softwire.Softwire, o Output) {
	t.Helper()
	if o.Side == dataplane.SideIPv4 {
		var h header4
		if event, ok := parse4(o.Packet, &h); !ok || h.total != len(o.Packet) {
			t.Fatalf("malformed packet to the IPv4 side: %s %x", event, o.Packet)
		}
		if h.total > c.IPv4MTU {
			t.Fatalf("%d octets to the IPv4 side, the MTU is %d", h.total, c.IPv4MTU)
		}
		src := netip.AddrFrom4(h.src)
		bound := src == c.IPv4Address
		for _, s := range all {
			bound = bound || s.IPv4 == src
		}
		if !bound {
			t.Fatalf("to the IPv4 side from %s, which nobody holds: %x", src, o.Packet)
		}
		return
	}
	var h header6
	if event, ok := parse6(o.Packet, &h); !ok || h.total != len(o.Packet) {
		t.Fatalf("malformed packet to the IPv6 side: %s %x", event, o.Packet)
	}
	if h.total > c.TunnelMTU {
		t.Fatalf("%d octets to the IPv6 side, the tunnel MTU is %d", h.total, c.TunnelMTU)
	}
	src, dst := netip.AddrFrom16(h.src), netip.AddrFrom16(h.dst)
	known := false
	for _, s := range all {
		known = known || s.BR == src
	}
	if !known {
		t.Fatalf("to the IPv6 side from %s, which is no BR address", src)
	}
	switch payload := o.Packet[h.payload:]; {
	case h.fragment:
	case h.next == protoICMPv6:
		if checksum.IPv6(&h.src, &h.dst, protoICMPv6, payload) != 0 {
			t.Fatalf("wrong ICMPv6 checksum: %x", o.Packet)
		}
	case h.next == protoIPv4:
		var inner header4
		if event, ok := parse4(payload, &inner); !ok || inner.total != len(payload) {
			t.Fatalf("malformed packet in a softwire: %s %x", event, payload)
		}
		for _, s := range all {
			if s.B4 == dst && s.BR == src && s.IPv4 == netip.AddrFrom4(inner.dst) {
				return
			}
		}
		t.Fatalf("a packet for %s was sent to lwB4 %s from %s", addr4(inner.dst[:]), dst, src)
	default:
		t.Fatalf("protocol %d to the IPv6 side", h.next)
	}
}

// fuzzSeeds are sequences that reach the far corners.
func fuzzSeeds(t testing.TB) [][]byte {
	f, err := New(DefaultConfig(), newMemory())
	if err != nil {
		t.Fatal(err)
	}
	all := fuzzTable(t, f)
	host := netip.MustParseAddrPort("198.51.100.7:443")
	own := netip.AddrPortFrom(all[0].IPv4, 0x4001)
	other := netip.AddrPortFrom(all[1].IPv4, 0x8001)

	var seeds [][]byte
	add := func(packets ...[]byte) {
		var seed []byte
		for _, p := range packets {
			side := byte(dataplane.SideIPv4)
			if p[0]>>4 == 6 {
				side = byte(dataplane.SideIPv6)
			}
			seed = append(seed, side, byte(len(p)>>8), byte(len(p)))
			seed = append(seed, p...)
		}
		seeds = append(seeds, seed)
	}
	in6 := func(s softwire.Softwire, next byte, payload []byte) []byte {
		p := make([]byte, header6Len)
		src, dst := s.B4.As16(), s.BR.As16()
		put6(p, 0, 0, len(payload), next, 64, &src, &dst)
		return append(p, payload...)
	}
	add(udp64(host, own))
	add(in6(all[0], protoIPv4, udp64(own, host)))
	add(in6(all[0], protoIPv4, udp64(own, other)))
	add(in6(all[1], protoIPv4, udp64(own, host)))
	add(in6(all[0], protoIPv4, udp64(netip.MustParseAddrPort("192.0.0.2:5351"), netip.MustParseAddrPort("192.0.0.1:5351"))))
	add(tcpPacket(tcpFlagSYN, tcpOptionMSS, 4, 0x05, 0xb4))
	// A tunnel packet in two fragments, the last one first.
	inner := udp64(own, host)
	fragment := func(offset, more byte, data []byte) []byte {
		return in6(all[0], nextFragment, append([]byte{protoIPv4, 0, 0, offset | more, 0, 0, 0, 9}, data...))
	}
	add(fragment(24, 0, inner[24:]), fragment(0, 1, inner[:24]))
	// Destination options with a tunnel encapsulation limit.
	add(in6(all[0], nextDestination, append([]byte{protoIPv4, 0, 4, 1, 4, 1, 1, 0}, inner...)))
	// An ICMPv6 packet too big about what was sent to the first lwB4.
	quoted := in6(softwire.Softwire{B4: all[0].BR, BR: all[0].B4}, protoIPv4, udp64(host, own))
	quoted[header6Len+6] |= 0x40
	tooBig := append([]byte{icmp6TooBig, 0, 0, 0, 0, 0, 5, 0}, quoted...)
	p := in6(all[0], protoICMPv6, tooBig)
	src, dst := [16]byte(p[8:24]), [16]byte(p[24:40])
	binary.BigEndian.PutUint16(p[header6Len+2:], checksum.IPv6(&src, &dst, protoICMPv6, tooBig))
	add(p)
	return seeds
}
