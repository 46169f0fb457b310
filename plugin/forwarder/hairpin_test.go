package forwarder

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// TestHairpinOff: without hairpinning a packet for another lwB4 goes to the IPv4
// side, where whoever routes decides about it.
func TestHairpinOff(t *testing.T) {
	c := DefaultConfig()
	c.Hairpin = false
	f, err := New(c, newMemory())
	if err != nil {
		t.Fatal(err)
	}
	all := fuzzTable(t, f)
	own := netip.AddrPortFrom(all[0].IPv4, 0x4001)
	inner := udp64(own, netip.AddrPortFrom(all[1].IPv4, 0x8001))
	p := make([]byte, header6Len)
	src, dst := all[0].B4.As16(), all[0].BR.As16()
	put6(p, 0, 0, len(inner), protoIPv4, 64, &src, &dst)
	trace := f.Trace(time.Unix(1_700_000_000, 0), dataplane.SideIPv6, append(p, inner...))
	want := append([]byte(nil), inner...)
	decrementTTL(want)
	if len(trace.Sent) != 1 || trace.Sent[0].Side != dataplane.SideIPv4 || !bytes.Equal(trace.Sent[0].Packet, want) {
		t.Errorf("sent %+v, want %x to the IPv4 side", trace.Sent, want)
	}
}

// TestDecapsulated: what another data plane has decapsulated is treated like
// the rest, and answered by the softwire that it came from.
func TestDecapsulated(t *testing.T) {
	f, err := New(DefaultConfig(), newMemory())
	if err != nil {
		t.Fatal(err)
	}
	all := fuzzTable(t, f)
	w := f.NewWorker()
	own := netip.AddrPortFrom(all[0].IPv4, 0x4001)
	process := func(ttl uint8, from, to netip.AddrPort) []Output {
		p := udp64(from, to)
		p[8], p[10], p[11] = ttl, 0, 0
		binary.BigEndian.PutUint16(p[10:], checksum.Of(p[:header4Len]))
		buf := append(make([]byte, headroom), p...)
		w.Begin(time.Unix(1_700_000_000, 0))
		w.Decapsulated(buf, headroom, len(buf))
		return w.End()
	}
	other, unbound := netip.AddrPortFrom(all[1].IPv4, 0x8001), netip.AddrPortFrom(all[1].IPv4, 0xffff)
	tests := []struct {
		name     string
		ttl      uint8
		from, to netip.AddrPort
		side     dataplane.Side
		b4       netip.Addr // where it goes on the IPv6 side
		kind     byte       // of the ICMPv4 error inside, or none
	}{
		{"to the Internet", 64, own, netip.MustParseAddrPort("203.0.113.9:53"), dataplane.SideIPv4, netip.Addr{}, 0},
		{"to a lwB4", 64, own, other, dataplane.SideIPv6, all[1].B4, 0},
		{"expired", 1, own, other, dataplane.SideIPv6, all[0].B4, icmp4TimeExceeded},
		{"unbound", 64, own, unbound, dataplane.SideIPv6, all[0].B4, icmp4Unreachable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := process(tt.ttl, tt.from, tt.to)
			if len(out) != 1 || out[0].Side != tt.side {
				t.Fatalf("sent %+v", out)
			}
			p := out[0].Packet
			if tt.side == dataplane.SideIPv4 {
				return
			}
			if got := addr6(p[24:]); got != tt.b4 {
				t.Errorf("to %s, want %s", got, tt.b4)
			}
			inner := p[header6Len:]
			if isError := inner[9] == protoICMP; isError != (tt.kind != 0) || isError && inner[header4Len] != tt.kind {
				t.Errorf("inside is %x, want ICMP type %d", inner, tt.kind)
			}
		})
	}
	if out := process(64, unbound, own); len(out) != 0 {
		t.Errorf("of no softwire: sent %+v", out)
	}
}
