package forwarder

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
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
