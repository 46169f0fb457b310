package compare

import (
	"net/netip"
	"strings"
	"testing"
)

// TestRules changes one thing of a packet at a time and looks whether the
// comparison minds. Every rule is shown able to fail, and to let pass.
func TestRules(t *testing.T) {
	const (
		minds = true
		not   = false
	)
	tests := []struct {
		name   string
		packet func(testing.TB) []byte
		change func([]byte) []byte
		exact  bool // what an exact comparison does
		normal bool // what a normalised comparison does
		says   string
	}{
		{"nothing", encapsulated, same, not, not, ""},
		{"outer class", encapsulated, flip(1, 0x10), minds, minds, "ipv6.class"},
		{"outer flow label", encapsulated, flip(2, 0xff), not, not, ""},
		{"outer hop limit", encapsulated, flip(7, 0xff), not, not, ""},
		{"outer source", encapsulated, flip(8, 1), minds, minds, "missing"},
		{"outer destination", encapsulated, flip(39, 1), minds, minds, "missing"},
		{"inner TTL", encapsulated, inner(flip(8, 3)), not, not, ""},
		{"inner TTL, checksum left behind", encapsulated, flip(40+8, 3), minds, minds, "wrong inner IPv4 header checksum"},
		{"inner tos", encapsulated, inner(flip(1, 0xff)), minds, minds, "inner ipv4.tos"},
		{"inner identification", encapsulated, inner(flip(4, 0xff)), minds, minds, "inner ipv4.identification"},
		{"inner DF", encapsulated, inner(flip(6, 0x40)), minds, minds, "inner ipv4.flags-offset"},
		{"inner source", encapsulated, inner(flip(15, 1)), minds, minds, "inner ipv4.source"},
		{"inner destination", encapsulated, inner(flip(19, 1)), minds, minds, "inner ipv4.destination"},
		{"port", encapsulated, flip(40+20, 1), minds, minds, "inner payload"},
		{"payload", encapsulated, flip(40+20+20+9, 1), minds, minds, "inner payload"},
		{"shorter than its header says", encapsulated, cut(1), minds, minds, "are there"},
		{"longer than its header says", encapsulated, longer(1), minds, minds, "bytes behind the packet"},
		{"Ethernet padding", short4, longer(10), not, not, ""},
		{"an extension header more", encapsulated, withDestinationOptions, minds, minds, "ipv6.next-header"},

		{"identification of a fragment", fragment6, flip(44, 1), minds, not, "fragment.identification"},
		{"fragment offset", fragment6, flip(43, 0x08), minds, minds, "fragment.offset"},
		{"inner TTL in a fragment", fragment6, innerOfFragment(flip(8, 3)), not, not, ""},
		{"identification of an IPv4 fragment", fragment4, summed(flip(4, 1)), minds, not, "ipv4.identification"},
		{"cut of an IPv4 fragment", fragment4, summed(flip(7, 1)), minds, minds, "ipv4.flags-offset"},
		{"inner TTL, checksum left behind in a fragment", fragment6, flip(48+8, 3), minds, minds, "wrong inner IPv4 header checksum"},

		{"TTL of an error", error4, summed(flip(8, 3)), not, not, ""},
		{"identification of an error", error4, summed(flip(5, 1)), minds, not, "ipv4.identification"},
		{"DF of an error", error4, summed(flip(6, 0x40)), minds, not, "ipv4.flags-offset"},
		{"type of an error", error4, message4(flip(0, 8)), minds, minds, "icmp.type-code"},
		{"code of an error", error4, message4(flip(1, 1)), minds, minds, "icmp.type-code"},
		{"MTU of an error", error4, message4(flip(7, 1)), minds, minds, "icmp.rest"},
		{"wrong ICMP checksum", error4, flip(22, 1), minds, minds, "wrong ICMPv4 checksum"},
		{"TTL of the quoted packet", error4, message4(at(8, summed(flip(8, 3)))), not, not, ""},
		{"quoted source", error4, message4(at(8, summed(flip(15, 1)))), minds, minds, "quoted ipv4.source"},
		{"quoted port", error4, message4(flip(8+20+1, 1)), minds, minds, "quoted payload"},
		{"quoted payload", error4, message4(flip(8+20+25, 1)), minds, minds, "quoted payload-rest"},
		{"quotes less", error4, shortQuote4(8 + 20 + 8), minds, not, "payload-rest"},
		{"quotes too little", error4, shortQuote4(8 + 20 + 7), minds, minds, "quoted payload"},
		{"quotes no whole header", error4, shortQuote4(8 + 12), minds, minds, "where quoted ipv4.version-ihl is wanted"},
		{"somebody else's identification", somebodysError4, summed(flip(5, 1)), minds, minds, "ipv4.identification"},
		{"somebody else's DF", somebodysError4, summed(flip(6, 0x40)), minds, minds, "ipv4.flags-offset"},

		{"type of an ICMPv6 error", error6, message6(flip(0, 3)), minds, minds, "icmpv6.type-code"},
		{"wrong ICMPv6 checksum", error6, flip(42, 1), minds, minds, "wrong ICMPv6 checksum"},
		{"hop limit of the quoted packet", error6, message6(flip(8+7, 1)), not, not, ""},
		{"flow label of the quoted packet", error6, message6(flip(8+3, 1)), minds, minds, "quoted ipv6.flow-label"},
		{"inner source of the quoted packet", error6, message6(at(8+40, summed(flip(15, 1)))), minds, minds, "quoted inner ipv4.source"},
		{"ICMPv6 quotes less", error6, shortQuote6(8 + 40 + 20 + 8), minds, not, "payload-rest"},
		{"ICMPv6 quotes too little", error6, shortQuote6(8 + 40 + 20 + 4), minds, minds, "quoted inner payload"},

		{"echo payload", echo4, flip(20+9, 1), minds, minds, "payload"},
		{"echo TTL", echo4, summed(flip(8, 3)), not, not, ""},
	}
	options := Options{Own: netip.MustParseAddr(ownAddress)}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.packet(t)
			got := tt.change(append([]byte(nil), want...))
			for _, rule := range []Rule{Exact, Normalised} {
				options.Rule = rule
				minds := tt.exact
				if rule == Normalised {
					minds = tt.normal
				}
				found := Packets([][]byte{want}, [][]byte{got}, options)
				if minds != (len(found) > 0) {
					t.Errorf("rule %d found %q", rule, found)
				}
				if minds && !strings.Contains(strings.Join(found, "\n"), tt.says) {
					t.Errorf("rule %d found %q, nothing of %q", rule, found, tt.says)
				}
			}
		})
	}
}

// TestPackets looks at lists of packets.
func TestPackets(t *testing.T) {
	a, b, c := encapsulated(t), error4(t), fragment4(t)
	other := inner(flip(4, 1))(append([]byte(nil), a...))
	list := func(p ...[]byte) [][]byte { return p }
	tests := []struct {
		name      string
		want, got [][]byte
		found     []string // parts of the lines, in order
	}{
		{"none of none", nil, nil, nil},
		{"all", list(a, b, c), list(a, b, c), nil},
		{"order between flows", list(a, b), list(b, a), nil},
		{"order in a flow", list(a, other), list(other, a), []string{"identification", "identification"}},
		{"one missing", list(a, b), list(b), []string{"missing: "}},
		{"one twice", list(a), list(a, a), []string{"unexpected: "}},
		{"where silence was wanted", nil, list(c), []string{"unexpected: "}},
		{"not IP", nil, list([]byte{1, 2, 3}), []string{"no IP packet"}},
		{"neighbour discovery", list(a), list(neighbour(t), a, listener(t)), nil},
		{"somebody else's wrong checksum", list(badTransport(a)), list(badTransport(a)), nil},
		{"our wrong transport checksum", list(a), list(badTransport(a)), []string{"wrong inner transport checksum", "payload"}},
		{"broken vector", list(a[:50]), list(a), []string{"the vector's own packet is broken"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := Packets(tt.want, tt.got, Options{Own: netip.MustParseAddr(ownAddress)})
			if len(found) != len(tt.found) {
				t.Fatalf("found %q, want %q", found, tt.found)
			}
			for i := range found {
				if !strings.Contains(found[i], tt.found[i]) {
					t.Errorf("found %q, want it to say %q", found[i], tt.found[i])
				}
			}
		})
	}
}
