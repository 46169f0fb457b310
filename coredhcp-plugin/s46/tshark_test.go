package s46

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/datagram/datagramtest"
)

// TestTshark has an independent decoder read each golden option in a Reply. It
// knows that options 86 and 88 exist, and not what is in them.
func TestTshark(t *testing.T) {
	var replies []datagram.Datagram
	for _, g := range golden {
		reply := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply}
		if err := Add(reply, g.option); err != nil {
			t.Fatal(err)
		}
		replies = append(replies, datagram.Datagram{
			From: netip.MustParseAddrPort("[fe80::1]:547"), To: netip.MustParseAddrPort("[fe80::2]:546"), Payload: reply.ToBytes(),
		})
	}
	tshark := datagramtest.Tshark(t, replies)
	fields := []string{
		"option.type", "aftr_name", "option_code", "s46_br.address",
		"s46_v4v6bind.ipv4_address", "s46_v4v6bind.ipv6_prefix", "s46_v4v6bind.ipv6_pref_len",
		"s46_portparam.offset", "s46_portparam.psid", "s46_portparam.psid_len",
		"s46_rule.flags.fmr", "s46_rule.ea_len", "s46_rule.ipv4_prefix", "s46_rule.ipv4_pref_len",
		"s46_rule.ipv6_prefix", "s46_rule.ipv6_prefix_len", "s46_dmr.dmr_prefix", "s46_dmr.dmr_pref_len",
	}
	args := []string{"-T", "fields", "-E", "separator=;", "-E", "occurrence=a"}
	for _, field := range fields {
		args = append(args, "-e", "dhcpv6."+field)
	}
	lines := strings.Split(strings.TrimSuffix(tshark(args...), "\n"), "\n")
	if len(lines) != len(golden) {
		t.Fatalf("%d lines for %d options:\n%s", len(lines), len(golden), lines)
	}
	for i, g := range golden {
		got := []string{}
		for j, value := range strings.Split(lines[i], ";") {
			if value != "" {
				got = append(got, fields[j]+" "+value)
			}
		}
		if diff := cmp.Diff(g.tshark, got); diff != "" {
			t.Errorf("%s is read otherwise by tshark (-want +got):\n%s", g.name, diff)
		}
	}
	if out := tshark("-Y", datagramtest.Warnings); out != "" {
		t.Errorf("tshark warns of\n%s", out)
	}
}
