package encap

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/assign"
	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

var (
	ours   = netip.MustParseAddr("192.0.2.1")
	server = netip.MustParseAddr("203.0.113.9")
)

// with returns a softwire of the port set with psid-offset 6, psid-len 8 and
// PSID 52: 1232 to 1235, 2256 to 2259 and so on.
func with(t testing.TB) *Softwire {
	t.Helper()
	ports, err := portset.Of(6, 8, 52)
	if err != nil {
		t.Fatal(err)
	}
	return New(ends, assign.Ports{IPv4: ours, Sets: []portset.PortSet{ports}}, 64)
}

var ends = assign.Ends{B4: netip.MustParseAddr("2001:db8:1::2"), BR: netip.MustParseAddr("2001:db8:ffff::1")}

const inSet, outOfSet = 1235, 1236

// ipv4 is a packet without options.
func ipv4(protocol uint8, from, to netip.Addr, payload []byte) []byte {
	b := make([]byte, headerLen, headerLen+len(payload))
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(headerLen+len(payload)))
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum.Of(b))
	return append(b, payload...)
}

func ports(from, to uint16) []byte {
	b := make([]byte, 8)
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	return b
}

func icmp(kind uint8, identifier uint16, rest ...byte) []byte {
	b := make([]byte, 8)
	b[0] = kind
	binary.BigEndian.PutUint16(b[4:], identifier)
	return append(b, rest...)
}

func later(packet []byte) []byte {
	b := slices.Clone(packet)
	binary.BigEndian.PutUint16(b[6:], 185)
	return b
}

func TestOutbound(t *testing.T) {
	b4, aftr := netip.MustParseAddr("192.0.0.2"), netip.MustParseAddr("192.0.0.1")
	for _, row := range []struct {
		name   string
		packet []byte
		want   Verdict
	}{
		{"udp", ipv4(protoUDP, ours, server, ports(inSet, 53)), Pass},
		{"tcp", ipv4(protoTCP, ours, server, ports(inSet, 80)), Pass},
		{"tcp outside", ipv4(protoTCP, ours, server, ports(outOfSet, inSet)), OutsidePortSet},
		{"udp port zero", ipv4(protoUDP, ours, server, ports(0, inSet)), OutsidePortSet},
		{"echo", ipv4(protoICMP, ours, server, icmp(8, inSet)), Pass},
		{"echo outside", ipv4(protoICMP, ours, server, icmp(8, outOfSet)), OutsidePortSet},
		{"error", ipv4(protoICMP, ours, server, icmp(3, 0, ipv4(protoUDP, server, ours, ports(53, inSet))...)), Pass},
		{"error outside", ipv4(protoICMP, ours, server, icmp(3, 0, ipv4(protoUDP, server, ours, ports(inSet, outOfSet))...)), OutsidePortSet},
		{"error about echo reply", ipv4(protoICMP, ours, server, icmp(11, 0, ipv4(protoICMP, server, ours, icmp(0, inSet))...)), Pass},
		{"error about error", ipv4(protoICMP, ours, server, icmp(3, 0, ipv4(protoICMP, server, ours, icmp(3, inSet))...)), NoPort},
		{"error cut short", ipv4(protoICMP, ours, server, icmp(3, 0, ipv4(protoUDP, server, ours, nil)...)), NoPort},
		{"redirect", ipv4(protoICMP, ours, server, icmp(5, inSet)), NoPort},
		{"gre", ipv4(47, ours, server, ports(inSet, inSet)), NoPort},
		{"other address", ipv4(protoUDP, server, ours, ports(inSet, inSet)), WrongAddress},
		{"later fragment", later(ipv4(protoUDP, ours, server, ports(outOfSet, 1))), Pass},
		{"later fragment of another address", later(ipv4(protoUDP, server, ours, ports(1, 1))), WrongAddress},
		{"pcp", ipv4(protoUDP, b4, aftr, ports(40000, 5351)), Pass},
		{"well-known to elsewhere", ipv4(protoUDP, b4, server, ports(inSet, 80)), WrongAddress},
		{"no ports", ipv4(protoUDP, ours, server, []byte{1, 2, 3}), NoPort},
		{"empty", nil, Malformed},
		{"ipv6", bytes.Repeat([]byte{0x60}, 60), Malformed},
		{"longer than it says", append(ipv4(protoUDP, ours, server, ports(inSet, 1)), 0), Malformed},
		{"header too short", append([]byte{0x44}, ipv4(protoUDP, ours, server, ports(inSet, 1))[1:]...), Malformed},
		{"header too long", append([]byte{0x4f}, ipv4(protoUDP, ours, server, ports(inSet, 1))[1:]...), Malformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := with(t).Outbound(row.packet); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestInbound(t *testing.T) {
	for _, row := range []struct {
		name   string
		packet []byte
		want   Verdict
	}{
		{"udp", ipv4(protoUDP, server, ours, ports(53, inSet)), Pass},
		{"tcp outside", ipv4(protoTCP, server, ours, ports(inSet, outOfSet)), OutsidePortSet},
		{"echo reply", ipv4(protoICMP, server, ours, icmp(0, inSet)), Pass},
		{"error", ipv4(protoICMP, server, ours, icmp(3, 0, ipv4(protoUDP, ours, server, ports(inSet, 53))...)), Pass},
		{"error outside", ipv4(protoICMP, server, ours, icmp(3, 0, ipv4(protoUDP, ours, server, ports(outOfSet, inSet))...)), OutsidePortSet},
		{"other address", ipv4(protoUDP, server, server, ports(inSet, inSet)), WrongAddress},
		{"hairpin", ipv4(protoUDP, ours, ours, ports(outOfSet, inSet)), Pass},
		{"malformed", []byte{0x45}, Malformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := with(t).Inbound(row.packet, 0); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestWholeAddressTakesEveryProtocol(t *testing.T) {
	s := New(ends, assign.Ports{IPv4: ours, Sets: []portset.PortSet{{}}}, 64)
	if got := s.Outbound(ipv4(47, ours, server, nil)); got != Pass {
		t.Errorf("outbound: %s", got)
	}
	if got := s.Inbound(ipv4(50, server, ours, nil), 0); got != Pass {
		t.Errorf("inbound: %s", got)
	}
}

var noPorts assign.Ports

func TestWithoutPortsOnlyTheEndsSpeak(t *testing.T) {
	s := New(ends, noPorts, 64)
	if got := s.Outbound(ipv4(protoUDP, ours, server, ports(inSet, 53))); got != WrongAddress {
		t.Errorf("outbound: %s", got)
	}
	if got := s.Inbound(ipv4(protoUDP, server, ours, ports(53, inSet)), 0); got != WrongAddress {
		t.Errorf("inbound: %s", got)
	}
	if got := s.Outbound(ipv4(protoUDP, assign.B4Address, assign.AFTRAddress, ports(40000, 5351))); got != Pass {
		t.Errorf("PCP: %s", got)
	}
}

func TestEncapsulate(t *testing.T) {
	inner := ipv4(protoUDP, ours, server, ports(inSet, 53))
	inner[1] = 0xb9 // DSCP EF, ECT(1)
	buf := append(make([]byte, HeaderLen), inner...)
	with(t).Encapsulate(buf)
	label := binary.BigEndian.Uint32(buf) & 0xfffff
	if label == 0 {
		t.Error("flow label is zero")
	}
	// RFC 8200 section 3: version, traffic class, label; payload length, next
	// header 4, hop limit; source, destination.
	want := "6b9" + "00000" + "001c" + "04" + "40" +
		"20010db8000100000000000000000002" + "20010db8ffff00000000000000000001"
	got := slices.Clone(buf[:HeaderLen])
	binary.BigEndian.PutUint32(got, binary.BigEndian.Uint32(got)&^0xfffff)
	if hex.EncodeToString(got) != want {
		t.Errorf("outer header\n%x, want\n%s", got, want)
	}
	if !bytes.Equal(buf[HeaderLen:], inner) {
		t.Error("the inner packet changed")
	}
}

func TestFlowLabelFollowsFlow(t *testing.T) {
	label := func(b []byte) uint32 { return flowLabel(b) }
	one := ipv4(protoTCP, ours, server, append(ports(inSet, 80), 1, 2, 3))
	same := ipv4(protoTCP, ours, server, append(ports(inSet, 80), 9))
	other := ipv4(protoTCP, ours, server, ports(inSet-1, 80))
	if label(one) != label(same) {
		t.Error("two packets of one flow have different labels")
	}
	if label(one) == label(other) {
		t.Error("two flows have the same label")
	}
	first := ipv4(protoUDP, ours, server, ports(inSet, 80))
	first[6] = 0x20
	if label(first) != label(later(ipv4(protoUDP, ours, server, ports(7, 7)))) {
		t.Error("two fragments of one packet have different labels")
	}
}

// TestECN is figure 4 of RFC 6040 section 4.2.
func TestECN(t *testing.T) {
	const drop = 0xff
	for inner, row := range [4][4]uint8{
		//       outer: Not-ECT ECT(1) ECT(0) CE
		notECT: {notECT, notECT, notECT, drop},
		ect1:   {ect1, ect1, ect1, ce},
		ect0:   {ect0, ect1, ect0, ce},
		ce:     {ce, ce, ce, ce},
	} {
		for outer, want := range row {
			packet := ipv4(protoUDP, server, ours, ports(53, inSet))
			packet[1] = uint8(inner)
			binary.BigEndian.PutUint16(packet[10:], 0)
			binary.BigEndian.PutUint16(packet[10:], checksum.Of(packet[:headerLen]))
			const dscp = 0xb8
			got := with(t).Inbound(packet, dscp|uint8(outer))
			if want == drop {
				if got != Congested {
					t.Errorf("inner %d outer %d: %s, want %s", inner, outer, got, Congested)
				}
				continue
			}
			if got != Pass || packet[1] != dscp|want {
				t.Errorf("inner %d outer %d: %s with TOS %#x, want %#x", inner, outer, got, packet[1], dscp|want)
			}
			if checksum.Of(packet[:headerLen]) != 0 {
				t.Errorf("inner %d outer %d: wrong header checksum", inner, outer)
			}
		}
	}
}

func TestTooBigError(t *testing.T) {
	original := ipv4(protoUDP, ours, server, append(ports(inSet, 53), make([]byte, 1400)...))
	got := TooBigError(make([]byte, MaxTooBig), original, 1360)
	if len(got) != MaxTooBig {
		t.Fatalf("%d octets, want %d", len(got), MaxTooBig)
	}
	if checksum.Of(got[:headerLen]) != 0 || checksum.Of(got[headerLen:]) != 0 {
		t.Error("wrong checksum")
	}
	h, ok := parse(got)
	if !ok || h.protocol != protoICMP || h.destination != ours {
		t.Fatalf("header %+v", h)
	}
	message := got[headerLen:]
	if message[0] != 3 || message[1] != 4 || binary.BigEndian.Uint16(message[6:]) != 1360 {
		t.Errorf("message begins with % x, want type 3 code 4 MTU 1360", message[:8])
	}
	if !bytes.Equal(message[8:], original[:len(message)-8]) {
		t.Error("the original is not embedded")
	}
	for name, packet := range map[string][]byte{
		"error":          ipv4(protoICMP, ours, server, icmp(3, 0, original...)),
		"later fragment": later(original),
		"malformed":      original[:30],
	} {
		if TooBigError(make([]byte, MaxTooBig), packet, 1360) != nil {
			t.Errorf("%s: answered", name)
		}
	}
}

func FuzzPacket(f *testing.F) {
	for _, seed := range [][]byte{
		nil,
		ipv4(protoUDP, ours, server, ports(inSet, 53)),
		ipv4(protoTCP, server, ours, ports(80, inSet)),
		ipv4(protoICMP, server, ours, icmp(3, 0, ipv4(protoUDP, ours, server, ports(inSet, 53))...)),
		ipv4(protoICMP, ours, server, icmp(8, inSet)),
	} {
		f.Add(seed, uint8(0))
		f.Add(seed, uint8(3))
	}
	s := with(f)
	f.Fuzz(func(t *testing.T, packet []byte, trafficClass uint8) {
		before := slices.Clone(packet)
		if s.Outbound(packet) == Pass {
			buf := append(make([]byte, HeaderLen), packet...)
			s.Encapsulate(buf)
			if int(binary.BigEndian.Uint16(buf[4:])) != len(packet) || !bytes.Equal(buf[HeaderLen:], packet) {
				t.Fatal("encapsulation changed the packet")
			}
		}
		if !bytes.Equal(packet, before) {
			t.Fatal("the check changed the packet")
		}
		if e := TooBigError(make([]byte, MaxTooBig), packet, 1280); e != nil && checksum.Of(e[headerLen:]) != 0 {
			t.Fatal("wrong checksum of an error")
		}
		if s.Inbound(packet, trafficClass) != Pass {
			return
		}
		h, ok := parse(packet)
		if !ok || h.destination != ours && !assign.WellKnown.Contains(h.destination) {
			t.Fatalf("passed %x", packet)
		}
		sum := func(b []byte) uint16 { return checksum.Of(b[:h.length]) }
		if sum(before) == 0 && sum(packet) != 0 {
			t.Fatal("a right header checksum became wrong")
		}
	})
}

func TestVerdictNames(t *testing.T) {
	seen := map[string]bool{}
	for v := range Verdicts + 1 {
		if seen[v.String()] || v.String() == "" {
			t.Errorf("verdict %d is called %q", v, v)
		}
		seen[v.String()] = true
	}
}
