package differential

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/lwaftr/lw4o6/integration/differential/reference"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// complaintsAbout compares one packet after another.
func complaintsAbout(packets []reference.Packet, spoil func(i int, b []byte)) []string {
	c := comparison{labels: make(map[string]uint32), used: make(map[string]bool)}
	for i, p := range packets {
		b := bytes.Clone(p.Bytes)
		spoil(i, b)
		c.sent([]sent{{p.Side, b}}, []*reference.Verdict{{Sent: []reference.Packet{p}}})
	}
	return c.complaints
}

func TestComparisonSetsAsideOnlyWhatIsFree(t *testing.T) {
	inner := ipv4{
		src: netip.MustParseAddr("192.0.0.8"), dst: netip.MustParseAddr("192.0.2.1"),
		ttl: 64, protocol: protocolICMP, payload: make([]byte, 24),
	}
	tunnel := ipv6{
		src: netip.MustParseAddr("2001:db8:ff::1"), dst: netip.MustParseAddr("2001:db8:1:1::1"),
		hops: 64, next: protocolIPv4, payload: inner.bytes(),
	}
	fragment := tunnel
	fragment.headers = []header6{{protocolFragment, []byte{0, 0, 1, 0, 0, 0, 0}}}
	own := reference.Packet{Side: dataplane.SideIPv6, Bytes: tunnel.bytes(), Origin: 40, Flow: "a flow"}
	foreign := reference.Packet{Side: dataplane.SideIPv6, Bytes: tunnel.bytes(), Origin: -1, Flow: "a flow"}
	cut := reference.Packet{Side: dataplane.SideIPv6, Bytes: fragment.bytes(), Origin: -1, Cut: 1}
	other := cut
	other.Cut = 2

	label := func(b []byte, l uint32) {
		binary.BigEndian.PutUint32(b, binary.BigEndian.Uint32(b)&^0xfffff|l)
	}
	for _, c := range []struct {
		name    string
		packets []reference.Packet
		spoil   func(i int, b []byte)
		want    string // in the complaint; nothing for no complaint
	}{
		{"a flow label", []reference.Packet{foreign, foreign}, func(_ int, b []byte) { label(b, 77) }, ""},
		{"no flow label", []reference.Packet{foreign}, func(int, []byte) {}, "no flow label"},
		{"another flow label", []reference.Packet{foreign, foreign}, func(i int, b []byte) { label(b, uint32(i+1)) }, "earlier ones"},
		{"an identification of its own", []reference.Packet{own}, func(_ int, b []byte) {
			label(b, 1)
			binary.BigEndian.PutUint16(b[44:], 0x1234)
			mend(b[40:])
		}, ""},
		{"a wrong checksum with it", []reference.Packet{own}, func(_ int, b []byte) {
			label(b, 1)
			binary.BigEndian.PutUint16(b[44:], 0x1234)
		}, "differs from octet 50"},
		{"a foreign identification changed", []reference.Packet{foreign}, func(_ int, b []byte) {
			label(b, 1)
			binary.BigEndian.PutUint16(b[44:], 0x1234)
			mend(b[40:])
		}, "differs from octet 44"},
		{"an octet changed", []reference.Packet{foreign}, func(_ int, b []byte) {
			label(b, 1)
			b[len(b)-1]++
		}, "differs from octet 83"},
		{"a fragment identification", []reference.Packet{cut}, func(_ int, b []byte) { b[44] = 9 }, ""},
		{"the same for two packets", []reference.Packet{cut, other}, func(_ int, b []byte) { b[44] = 9 }, "of an earlier one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(complaintsAbout(c.packets, c.spoil), "; ")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("complaints %q, want %q", got, c.want)
			}
		})
	}
}

func TestFragmentsOfOnePacketShareAnIdentification(t *testing.T) {
	p := ipv6{
		src: netip.MustParseAddr("2001:db8:ff::1"), dst: netip.MustParseAddr("2001:db8:1:1::1"),
		next: protocolIPv4, payload: make([]byte, 16),
		headers: []header6{{protocolFragment, []byte{0, 0, 1, 0, 0, 0, 0}}},
	}
	w := reference.Packet{Side: dataplane.SideIPv6, Bytes: p.bytes(), Origin: -1, Cut: 1}
	c := comparison{labels: make(map[string]uint32), used: make(map[string]bool)}
	one, two := bytes.Clone(w.Bytes), bytes.Clone(w.Bytes)
	one[47], two[47] = 1, 2
	c.sent([]sent{{w.Side, one}, {w.Side, two}}, []*reference.Verdict{{Sent: []reference.Packet{w, w}}})
	if len(c.complaints) != 1 || !strings.Contains(c.complaints[0], "other fragments of its packet") {
		t.Errorf("complaints: %q", c.complaints)
	}
}
