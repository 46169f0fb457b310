package s46

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"
)

var comparable = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

var comparablePrefix = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

// golden are options and their data. Those of Kea are what a Kea 2.2 server
// sent for them; the others follow the figures of their RFCs field by field.
var golden = []struct {
	name   string
	option Option
	wire   []string
	tshark []string // what it must read
}{
	{
		"AFTR name, RFC 6334 figure 2 and Kea", &AFTRName{"aftr.example.com"},
		[]string{"04 61667472", "07 6578616d706c65", "03 636f6d", "00"},
		[]string{"option.type 64", "aftr_name aftr.example.com."},
	},
	{
		"PCP server, Kea", &PCPServer{[]netip.Addr{netip.MustParseAddr("2001:db8::5351")}},
		[]string{"20010db8000000000000000000005351"},
		[]string{"option.type 86"},
	},
	{
		"PCP server of two addresses, one IPv4-mapped", &PCPServer{[]netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1")}},
		[]string{"20010db8000000000000000000000001", "00000000000000000000ffffc0000201"},
		[]string{"option.type 86"},
	},
	{"DHCP 4o6 servers, none", &DHCP4o6Servers{}, nil, []string{"option.type 88"}},
	{
		"DHCP 4o6 servers, one", &DHCP4o6Servers{[]netip.Addr{netip.MustParseAddr("ff02::1:2")}},
		[]string{"ff020000000000000000000000010002"},
		[]string{"option.type 88"},
	},
	{
		"Lightweight 4over6, Kea", NewLW(netip.MustParseAddr("2001:db8:cafe::1"), netip.MustParseAddr("192.0.2.3"),
			set("0/6/5"), netip.MustParsePrefix("2001:db8:1:8000::/56")),
		[]string{
			"005a 0010", "20010db8cafe00000000000000000001",
			"005c 0014", "c0000203 38 20010db8000180", "005d 0004 00 06 1400",
		},
		[]string{
			"option.type 96,90,92,93", "s46_br.address 2001:db8:cafe::1", "s46_v4v6bind.ipv4_address 192.0.2.3",
			"s46_v4v6bind.ipv6_prefix 2001:db8:1:8000::", "s46_v4v6bind.ipv6_pref_len 56", "s46_portparam.offset 0",
			"s46_portparam.psid 5", "s46_portparam.psid_len 6",
		},
	},
	{
		"Lightweight 4over6, a PSID of 8 bits in a /64", NewLW(netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.3"),
			set("0/8/52"), netip.MustParsePrefix("2001:db8:1:8000::/64")),
		[]string{
			"005a 0010", "20010db8000000000000000000000001",
			"005c 0015", "c0000203 40 20010db800018000", "005d 0004 00 08 3400",
		},
		[]string{
			"option.type 96,90,92,93", "s46_br.address 2001:db8::1", "s46_v4v6bind.ipv4_address 192.0.2.3",
			"s46_v4v6bind.ipv6_prefix 2001:db8:1:8000::", "s46_v4v6bind.ipv6_pref_len 64", "s46_portparam.offset 0",
			"s46_portparam.psid 52", "s46_portparam.psid_len 8",
		},
	},
	{
		"Lightweight 4over6, a whole address and a /128", NewLW(netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.3"),
			set("0/0/0"), netip.MustParsePrefix("2001:db8:1:8000:0:c000:203:0/128")),
		[]string{
			"005a 0010", "20010db8000000000000000000000001",
			"005c 001d", "c0000203 80 20010db8000180000000c00002030000", "005d 0004 00 00 0000",
		},
		[]string{
			"option.type 96,90,92,93", "s46_br.address 2001:db8::1", "s46_v4v6bind.ipv4_address 192.0.2.3",
			"s46_v4v6bind.ipv6_prefix 2001:db8:1:8000:0:c000:203:0", "s46_v4v6bind.ipv6_pref_len 128",
			"s46_portparam.offset 0", "s46_portparam.psid 0", "s46_portparam.psid_len 0",
		},
	},
	{
		"Lightweight 4over6, two BRs, no binding", &LW{BRs: []BR{{netip.MustParseAddr("2001:db8::1")}, {netip.MustParseAddr("2001:db8::2")}}},
		[]string{"005a 0010 20010db8000000000000000000000001", "005a 0010 20010db8000000000000000000000002"},
		[]string{"option.type 96,90,90", "s46_br.address 2001:db8::1,2001:db8::2"},
	},
	{
		"Lightweight 4over6, a binding without port parameters, odd prefix length", &LW{
			BRs:  []BR{{netip.MustParseAddr("2001:db8::1")}},
			Bind: &V4V6Bind{IPv4: netip.MustParseAddr("192.0.2.3"), Prefix: netip.MustParsePrefix("2001:db8:fe00::/39")},
		},
		[]string{"005a 0010 20010db8000000000000000000000001", "005c 000a c0000203 27 20010db8fe"},
		[]string{
			"option.type 96,90,92", "s46_br.address 2001:db8::1", "s46_v4v6bind.ipv4_address 192.0.2.3",
			"s46_v4v6bind.ipv6_prefix 2001:db8:fe00::", "s46_v4v6bind.ipv6_pref_len 39",
		},
	},
	{
		"a BR for DHCP 4o6, RFC 8539 section 4.1", &BR{netip.MustParseAddr("2001:db8::1")},
		[]string{"20010db8000000000000000000000001"},
		[]string{"option.type 90", "s46_br.address 2001:db8::1"},
	},
	{
		"MAP-E", &MAPE{
			Rules: []Rule{
				{Forwarding: true, EALength: 16, IPv4: netip.MustParsePrefix("192.0.2.0/24"), IPv6: netip.MustParsePrefix("2001:db8::/40"), PortParams: &PortParams{Offset: 6, Length: 8}},
				{IPv4: netip.MustParsePrefix("192.0.2.9/32"), IPv6: netip.MustParsePrefix("2001:db8:100::/56"), PortParams: &PortParams{Offset: 6, Length: 8, PSID: 0x34}},
			},
			BRs: []BR{{netip.MustParseAddr("2001:db8::1")}},
		},
		[]string{
			"0059 0015", "01 10 18 c0000200 28 20010db800", "005d 0004 06 08 0000",
			"0059 0017", "00 00 20 c0000209 38 20010db8010000", "005d 0004 06 08 3400",
			"005a 0010 20010db8000000000000000000000001",
		},
		[]string{
			"option.type 94,89,93,89,93,90", "s46_br.address 2001:db8::1", "s46_portparam.offset 6,6",
			"s46_portparam.psid 0,52", "s46_portparam.psid_len 8,8", "s46_rule.flags.fmr 1,0", "s46_rule.ea_len 16,0",
			"s46_rule.ipv4_prefix 192.0.2.0,192.0.2.9", "s46_rule.ipv4_pref_len 24,32",
			"s46_rule.ipv6_prefix 2001:db8::,2001:db8:100::", "s46_rule.ipv6_prefix_len 40,56",
		},
	},
	{
		"MAP-T", &MAPT{
			Rules: []Rule{{EALength: 8, IPv4: netip.MustParsePrefix("192.0.2.0/24"), IPv6: netip.MustParsePrefix("2001:db8::/48")}},
			DMR:   DMR{netip.MustParsePrefix("2001:db8:ffff::/64")},
		},
		[]string{"0059 000e", "00 08 18 c0000200 30 20010db80000", "005b 0009 40 20010db8ffff0000"},
		[]string{
			"option.type 95,89,91", "s46_rule.flags.fmr 0", "s46_rule.ea_len 8", "s46_rule.ipv4_prefix 192.0.2.0",
			"s46_rule.ipv4_pref_len 24", "s46_rule.ipv6_prefix 2001:db8::", "s46_rule.ipv6_prefix_len 48",
			"s46_dmr.dmr_prefix 2001:db8:ffff::", "s46_dmr.dmr_pref_len 64",
		},
	},
	{
		"priority, Kea", &Priority{[]dhcpv6.OptionCode{96, 94, 64}},
		[]string{"0060", "005e", "0040"},
		[]string{"option.type 111", "option_code 0x0060,0x005e,0x0040"},
	},
}

// TestGolden: options are written as others write them, and read back.
func TestGolden(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			wire := octets(t, g.wire...)
			if got := g.option.ToBytes(); hex.EncodeToString(got) != hex.EncodeToString(wire) {
				t.Errorf("written as %x,\nwant %x", got, wire)
			}
			got, err := Parse(g.option.Code(), wire)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(g.option, got, comparable, comparablePrefix); diff != "" {
				t.Errorf("read otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReservedIgnored: what the RFCs have receivers ignore makes no difference.
func TestReservedIgnored(t *testing.T) {
	const br = "005a 0010 20010db8000000000000000000000001"
	for _, c := range []struct {
		name            string
		code            dhcpv6.OptionCode
		wire, canonical string
	}{
		{"reserved flags of a rule", 94, "0059 0008 fe 00 20 c0000209 00" + br, "0059 0008 00 00 20 c0000209 00" + br},
		{"bits after an IPv4 prefix", 94, "0059 0008 00 00 18 c00002ff 00" + br, "0059 0008 00 00 18 c0000200 00" + br},
		{"bits after an IPv6 prefix", 94, "0059 0009 00 00 20 c0000209 03 ff" + br, "0059 0009 00 00 20 c0000209 03 e0" + br},
		{"a PSID with an IPv4 prefix", 94, "0059 0010 00 00 18 c0000200 00 005d 0004 06 08 3400" + br, "0059 0008 00 00 18 c0000200 00" + br},
		{"names after the first", 64, "03616263 00 03646566 00", "03616263 00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := Parse(c.code, octets(t, c.wire))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := o.ToBytes(), octets(t, c.canonical); hex.EncodeToString(got) != hex.EncodeToString(want) {
				t.Errorf("written again as %x, want %x", got, want)
			}
		})
	}
}

func octets(t testing.TB, parts ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(parts, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
