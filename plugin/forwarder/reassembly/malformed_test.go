package reassembly_test

import (
	"bytes"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/forwarder/reassembly"
)

func TestMalformed6(t *testing.T) {
	f := flow{src: 1, dst: 2, id: 7, proto: udp}
	good := f.fragment6(part{more: true, data: data(800, 0)})
	beyond := bytes.Clone(good)
	beyond[6], beyond[41] = 60, 255
	first := func(proto uint8, chain ...byte) []byte {
		g := f
		g.proto = proto
		return g.fragment6(part{more: true, data: chain})
	}
	extended := func(outer uint8, chain ...byte) []byte {
		return flow{src: 1, dst: 2, id: 7, proto: udp, options: chain, outer: outer}.fragment6(part{more: true, data: data(8, 0)})
	}
	cutShort := f.fragment6(part{})[:44]
	cutShort[5] = 4
	inner := bytes.Repeat([]byte{0x46}, 24)
	tests := []struct {
		name   string
		packet []byte
		want   string
	}{
		{"nothing", nil, "malformed:1"},
		{"a short header", good[:39], "malformed:1"},
		{"IPv4", f.fragment4(part{more: true, data: data(800, 0)}), "malformed:1"},
		{"payload cut short", good[:len(good)-1], "malformed:1"},
		{"Fragment header cut short", cutShort, "malformed:1"},
		{"an extension header beyond the packet", beyond, "malformed:1"},
		{"too many extension headers", extended(0, bytes.Repeat([]byte{60, 0, 1, 4, 0, 0, 0, 0}, 8)...), "malformed:1"},
		{"a fragment in a fragment", first(44, data(16, 0)...), "malformed:1"},
		{"an atomic fragment without data", f.fragment6(part{}), "empty:1"},
		{"an atomic fragment with half a header", flow{proto: tcp}.fragment6(part{data: data(19, 0)}), "tiny-first:1"},
		{"no upper-layer header", first(60, 17, 0, 1, 4, 0, 0, 0, 0), "tiny-first:1"},
		{"an extension header cut short", first(60, 17, 2, 1, 4, 0, 0, 0, 0), "tiny-first:1"},
		{"half an inner IPv4 header", first(4, inner[:16]...), "tiny-first:1"},
		{"half of inner IPv4 options", first(4, append([]byte{0x47}, inner[1:]...)...), "tiny-first:1"},
		{"half an inner IPv6 header", first(41, data(32, 0)...), "tiny-first:1"},
		{"half a TCP header", first(6, data(16, 0)...), "tiny-first:1"},
		{"an inner IPv4 header", first(4, inner...), ""},
		{"a TCP header", first(6, data(24, 0)...), ""},
		{"a UDP header", first(17, data(8, 0)...), ""},
		{"no next header", first(59, data(8, 0)...), ""},
		{"seven extension headers", extended(0, bytes.Repeat([]byte{60, 0, 1, 4, 0, 0, 0, 0}, 7)...), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := newTable(t, roomy())
			r := table.IPv6(start, test.packet, arena{})
			if got := drops(r.Drops); got != test.want || r.Packet != nil {
				t.Errorf("dropped %q, whole %v; want %q", got, r.Packet != nil, test.want)
			}
			if held := table.Held(); (held == 1) != (test.want == "") {
				t.Errorf("%d fragments held", held)
			}
		})
	}
}

func TestMalformed4(t *testing.T) {
	f := flow{src: 1, dst: 2, id: 7, proto: udp}
	good := f.fragment4(part{more: true, data: data(800, 0)})
	edit := func(at int, value byte) []byte {
		b := bytes.Clone(good)
		b[at] = value
		return b
	}
	tests := []struct {
		name   string
		packet []byte
		want   string
	}{
		{"nothing", nil, "malformed:1"},
		{"a short header", good[:19], "malformed:1"},
		{"IPv6", f.fragment6(part{more: true, data: data(800, 0)}), "malformed:1"},
		{"header length under 20", edit(0, 0x44), "malformed:1"},
		{"total length under the header's", edit(2, 0)[:20], "malformed:1"},
		{"data cut short", good[:len(good)-1], "malformed:1"},
		{"header beyond the packet", append([]byte{0x4f, 0, 0, 40}, make([]byte, 36)...), "malformed:1"},
		{"16 octets of TCP", flow{proto: tcp}.fragment4(part{more: true, data: data(16, 0)}), ""},
		{"8 octets of UDP", flow{proto: udp}.fragment4(part{more: true, data: data(8, 0)}), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := newTable(t, roomy())
			r := table.IPv4(start, test.packet, arena{})
			if got := drops(r.Drops); got != test.want || r.Packet != nil {
				t.Errorf("dropped %q, whole %v; want %q", got, r.Packet != nil, test.want)
			}
			if held := table.Held(); (held == 1) != (test.want == "") {
				t.Errorf("%d fragments held", held)
			}
		})
	}
}

func TestCauseNames(t *testing.T) {
	seen := map[string]bool{}
	for c := reassembly.Cause(1); int(c) < reassembly.CauseCount; c++ {
		name := c.String()
		if seen[name] || bytes.ContainsAny([]byte(name), " _") {
			t.Errorf("cause %d is named %q", uint8(c), name)
		}
		seen[name] = true
	}
	if len(seen) != 15 {
		t.Errorf("%d causes have names, want 15", len(seen))
	}
	if got := reassembly.Cause(200).String(); got != "cause 200" {
		t.Errorf("an unknown cause is %q", got)
	}
}
