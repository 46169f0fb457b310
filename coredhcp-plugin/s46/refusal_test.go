package s46

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

const (
	wireBR     = "005a 0010 20010db8000000000000000000000001"
	wireBind   = "005c 000c c0000203 38 20010db8000180"
	wireRule   = "0059 0008 00 00 20 c0000209 00"
	wireDMR    = "005b 0009 40 20010db8ffff0000"
	wireParams = "005d 0004 00 06 1400"
)

// TestParseRefuses: what breaks a rule of an option's RFC is an error that says
// which.
func TestParseRefuses(t *testing.T) {
	bind := func(params string) string { return wireBR + "005c 000d c0000203 00" + params }
	for _, c := range []struct {
		name string
		code dhcpv6.OptionCode
		wire string
		want error
	}{
		// RFC 7598 section 6, table 1.
		{"LW without a BR", 96, wireBind, ErrCount},
		{"LW with two bindings", 96, wireBR + wireBind + wireBind, ErrCount},
		{"binding with two port parameters", 96, wireBR + "005c 0015 c0000203 00" + wireParams + wireParams, ErrCount},
		{"empty LW", 96, "", ErrCount},
		{"LW with a rule", 96, wireBR + wireRule, ErrCode},
		{"LW with a DMR", 96, wireBR + wireDMR, ErrCode},
		{"LW with port parameters outside of the binding", 96, wireBR + wireParams, ErrCode},
		{"LW inside of LW", 96, wireBR + "0060 0014" + wireBR, ErrCode},
		{"LW with an unknown option", 96, wireBR + "ffff 0000", ErrCode},
		{"MAP-E without a rule", 94, wireBR, ErrCount},
		{"MAP-E without a BR", 94, wireRule, ErrCount},
		{"MAP-E with a DMR", 94, wireRule + wireBR + wireDMR, ErrCode},
		{"MAP-E with a binding", 94, wireRule + wireBR + "005c 0005 c0000203 00", ErrCode},
		{"MAP-T without a DMR", 95, wireRule, ErrCount},
		{"MAP-T without a rule", 95, wireDMR, ErrCount},
		{"MAP-T with two DMRs", 95, wireRule + wireDMR + wireDMR, ErrCount},
		{"MAP-T with a BR", 95, wireRule + wireDMR + wireBR, ErrCode},
		{"MAP-T with a binding", 95, wireRule + wireDMR + "005c 0005 c0000203 00", ErrCode},
		{"binding with a BR inside", 96, wireBR + "005c 0019 c0000203 00" + wireBR, ErrCode},
		{"more BRs than there may be", 96, strings.Repeat(wireBR, MaxEntries+1), ErrCount},

		// Provisioning options outside of containers.
		{"a rule on its own", 89, "00 00 20 c0000209 00", ErrCode},
		{"a DMR on its own", 91, "00", ErrCode},
		{"a binding on its own", 92, "c0000203 00", ErrCode},
		{"port parameters on their own", 93, "00 06 1400", ErrCode},
		{"an option of somebody else", 1, "", ErrCode},

		// Lengths.
		{"octets after the last option", 96, wireBR + "005a 00", ErrLength},
		{"an option longer than its container", 96, wireBR + "005c 0006 c0000203 00", ErrLength},
		{"a short BR", 96, "005a 000f 20010db80000000000000000000000", ErrLength},
		{"a long BR", 96, "005a 0011 20010db800000000000000000000000100", ErrLength},
		{"a short binding", 96, wireBR + "005c 0003 c00002", ErrLength},
		{"a binding without a prefix length", 96, wireBR + "005c 0004 c0000203", ErrLength},
		{"a prefix shorter than its length says", 96, wireBR + "005c 0006 c0000203 09 20", ErrLength},
		{"short port parameters", 96, wireBR + "005c 000c c0000203 00 005d 0003 00 06 14", ErrLength},
		{"a short rule", 94, wireBR + "0059 0006 00 00 20 c00002", ErrLength},
		{"a DMR with more than a prefix", 95, wireRule + "005b 0002 00 00", ErrLength},
		{"an odd priority", 111, "0060 00", ErrLength},
		{"addresses of 15 octets", 86, "20010db80000000000000000000000", ErrLength},
		{"4o6 servers of 15 octets", 88, "20010db80000000000000000000000", ErrLength},
		{"a name of 3 octets", 64, "01 61 00", ErrLength},
		{"a label longer than the option", 64, "05 61626364", ErrLength},
		{"a name without an end", 64, "03 616263", ErrLength},
		{"a compressed name", 64, "03 616263 c000", ErrLength},
		{"an empty name", 64, "00 03 616263", ErrLength},
		{"a name of 256 octets", 64, strings.Repeat("3f"+strings.Repeat("61", 63), 4) + "00", ErrLength},

		// Values.
		{"a bind prefix of 129 bits", 96, wireBR + "005c 0016 c0000203 81" + strings.Repeat("00", 17), ErrValue},
		{"offset 16", 96, bind("005d 0004 10 00 0000"), ErrValue},
		{"17 bits of PSID", 96, bind("005d 0004 00 11 0000"), ErrValue},
		{"255 bits of PSID", 96, bind("005d 0004 00 ff ffff"), ErrValue},
		{"offset and PSID of 17 bits", 96, bind("005d 0004 09 08 3400"), ErrValue},
		{"a PSID that is right-justified", 96, bind("005d 0004 00 06 0005"), ErrValue},
		{"an unspecified BR", 96, "005a 0010 00000000000000000000000000000000", ErrValue},
		{"a multicast BR", 96, "005a 0010 ff020000000000000000000000000001", ErrValue},
		{"49 embedded bits", 94, wireBR + "0059 0008 00 31 20 c0000209 00", ErrValue},
		{"an IPv4 prefix of 33 bits", 94, wireBR + "0059 0008 00 00 21 c0000209 00", ErrValue},
		{"a DMR of 129 bits", 95, wireRule + "005b 0012 81" + strings.Repeat("00", 17), ErrValue},
		{"a code twice in the priority", 111, "0060 005e 0060", ErrValue},
		{"no code in the priority", 111, "", ErrCount},
		{"a PCP server without an address", 86, "", ErrCount},
		{"a loopback PCP server", 86, "00000000000000000000000000000001", ErrValue},
		{"an IPv4 multicast PCP server", 86, "00000000000000000000ffffe0000001", ErrValue},
		{"an unspecified 4o6 server", 88, "00000000000000000000000000000000", ErrValue},
		{"a dot in a label", 64, "03 612e62 00", ErrValue},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := Parse(c.code, octets(t, c.wire))
			if !errors.Is(err, c.want) {
				t.Errorf("read as %v, %v; want an error that wraps %q", o, err, c.want)
			}
		})
	}
}

// TestAddRefuses: what breaks a rule is not written either.
func TestAddRefuses(t *testing.T) {
	v4, v6, prefix := netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8::1"), netip.MustParsePrefix("2001:db8::/56")
	br, rule := []BR{{v6}}, []Rule{{IPv4: netip.PrefixFrom(v4, 32), IPv6: prefix}}
	bind := func(change func(*V4V6Bind)) Option {
		b := &V4V6Bind{IPv4: v4, Prefix: prefix, PortParams: &PortParams{Length: 6, PSID: 5}}
		change(b)
		return &LW{BRs: br, Bind: b}
	}
	for _, c := range []struct {
		name   string
		option Option
		want   error
	}{
		{"zero LW", &LW{}, ErrCount},
		{"zero BR", &LW{BRs: []BR{{}}}, ErrValue},
		{"IPv4 BR", &LW{BRs: []BR{{v4}}}, ErrValue},
		{"BR with a zone", &LW{BRs: []BR{{netip.MustParseAddr("fe80::1%eth0")}}}, ErrValue},
		{"zero binding", &LW{BRs: br, Bind: &V4V6Bind{}}, ErrValue},
		{"IPv6 for IPv4", bind(func(b *V4V6Bind) { b.IPv4 = v6 }), ErrValue},
		{"IPv4 prefix", bind(func(b *V4V6Bind) { b.Prefix = netip.PrefixFrom(v4, 24) }), ErrValue},
		{"PSID above its bits", bind(func(b *V4V6Bind) { b.PortParams.PSID = 64 }), ErrValue},
		{"PSID of no bits", bind(func(b *V4V6Bind) { b.PortParams.Length = 0 }), ErrValue},
		{"offset 16", bind(func(b *V4V6Bind) { *b.PortParams = PortParams{Offset: 16} }), ErrValue},
		{"zero MAP-E", &MAPE{}, ErrCount},
		{"MAP-E without a BR", &MAPE{Rules: rule}, ErrCount},
		{"MAP-E of a zero rule", &MAPE{Rules: []Rule{{}}, BRs: br}, ErrValue},
		{"PSID with an IPv4 prefix", &MAPE{Rules: []Rule{{IPv4: netip.MustParsePrefix("192.0.2.0/24"), IPv6: prefix,
			PortParams: &PortParams{Length: 8, PSID: 1}}}, BRs: br}, ErrValue},
		{"zero MAP-T", &MAPT{}, ErrCount},
		{"MAP-T without a DMR", &MAPT{Rules: rule}, ErrValue},
		{"too many rules", &MAPE{Rules: slices.Repeat(rule, MaxEntries+1), BRs: br}, ErrCount},
		{"zero priority", &Priority{}, ErrCount},
		{"zero PCP server", &PCPServer{}, ErrCount},
		{"PCP server of a zero address", &PCPServer{[]netip.Addr{{}}}, ErrValue},
		{"4o6 server with IPv4", &DHCP4o6Servers{[]netip.Addr{v4}}, ErrValue},
		{"empty AFTR name", &AFTRName{}, ErrLength},
		{"AFTR name with a dot at its end", &AFTRName{"aftr.example.com."}, ErrLength},
		{"AFTR name of 254 octets", &AFTRName{strings.Repeat("a.", 127) + "a"}, ErrLength},
		{"AFTR name with a space", &AFTRName{"a b.example"}, ErrValue},
		{"a DMR on its own", &DMR{prefix}, ErrCode},
		{"a rule on its own", &rule[0], ErrCode},
		{"a binding on its own", &V4V6Bind{IPv4: v4, Prefix: prefix}, ErrCode},
		{"port parameters on their own", &PortParams{}, ErrCode},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m dhcpv6.Message
			if err := Add(&m, c.option); !errors.Is(err, c.want) {
				t.Errorf("%v; want an error that wraps %q", err, c.want)
			}
			if len(m.Options.Options) != 0 {
				t.Error("it was added nevertheless")
			}
			if c.want != ErrCode && c.option.ToBytes() != nil {
				t.Error("it was written nevertheless")
			}
			if c.option.String() == "" {
				t.Error("no text for a log")
			}
		})
	}
}

// TestLargest: an option of the most that it may hold fits its length.
func TestLargest(t *testing.T) {
	rule := Rule{IPv4: netip.MustParsePrefix("192.0.2.9/32"), IPv6: netip.MustParsePrefix("2001:db8::1/128"), PortParams: &PortParams{Length: 6, PSID: 5}}
	br := BR{netip.MustParseAddr("2001:db8::1")}
	for _, o := range []Option{
		&MAPE{Rules: slices.Repeat([]Rule{rule}, MaxEntries), BRs: slices.Repeat([]BR{br}, MaxEntries)},
		&PCPServer{slices.Repeat([]netip.Addr{br.Address}, MaxEntries)},
	} {
		b := o.ToBytes()
		if len(b) == 0 || len(b) > 0xffff {
			t.Errorf("%s: %d octets", o.Code(), len(b))
		}
		if _, err := Parse(o.Code(), b); err != nil {
			t.Error(err)
		}
	}
}
