package s46

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/insomniacslk/dhcp/dhcpv6"
)

// TestTshark has an independent decoder read each golden option in a Reply. It
// knows that options 86 and 88 exist, and not what is in them.
func TestTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("needs tshark")
	}
	capture := filepath.Join(t.TempDir(), "options.pcap")
	writeCapture(t, capture)
	fields := []string{
		"option.type", "aftr_name", "option_code", "s46_br.address",
		"s46_v4v6bind.ipv4_address", "s46_v4v6bind.ipv6_prefix", "s46_v4v6bind.ipv6_pref_len",
		"s46_portparam.offset", "s46_portparam.psid", "s46_portparam.psid_len",
		"s46_rule.flags.fmr", "s46_rule.ea_len", "s46_rule.ipv4_prefix", "s46_rule.ipv4_pref_len",
		"s46_rule.ipv6_prefix", "s46_rule.ipv6_prefix_len", "s46_dmr.dmr_prefix", "s46_dmr.dmr_pref_len",
	}
	args := []string{"-r", capture, "-T", "fields", "-E", "separator=;", "-E", "occurrence=a"}
	for _, field := range fields {
		args = append(args, "-e", "dhcpv6."+field)
	}
	lines := strings.Split(strings.TrimSuffix(run(t, tshark, args...), "\n"), "\n")
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
	const filter = "_ws.malformed or _ws.expert.severity >= 6291456" // a warning
	if out := run(t, tshark, "-r", capture, "-Y", filter); out != "" {
		t.Errorf("tshark warns of\n%s", out)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, errs.Bytes())
	}
	return string(out)
}

// writeCapture writes a Reply with each of the golden options.
func writeCapture(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := pcapgo.NewWriter(file)
	if err := w.WriteFileHeader(65535, layers.LinkTypeRaw); err != nil {
		t.Fatal(err)
	}
	for _, g := range golden {
		reply := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply}
		if err := Add(reply, g.option); err != nil {
			t.Fatal(err)
		}
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP,
			SrcIP: netip.MustParseAddr("fe80::1").AsSlice(), DstIP: netip.MustParseAddr("fe80::2").AsSlice()}
		udp := &layers.UDP{SrcPort: dhcpv6.DefaultServerPort, DstPort: dhcpv6.DefaultClientPort}
		if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		buffer := gopacket.NewSerializeBuffer()
		options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		if err := gopacket.SerializeLayers(buffer, options, ip, udp, gopacket.Payload(reply.ToBytes())); err != nil {
			t.Fatal(err)
		}
		b := slices.Clone(buffer.Bytes())
		info := gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(b), Length: len(b)}
		if err := w.WritePacket(info, b); err != nil {
			t.Fatal(err)
		}
	}
}
