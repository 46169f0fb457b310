package kea

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/s46"
	"github.com/lwaftr/lw4o6/integration/vectors"
)

// TestCapture: what a Kea gave to an odhcp6c is read, and written again as it was.
func TestCapture(t *testing.T) {
	path := filepath.Join(vectors.Folder("../.."), "dhcpv6", "kea-lw4o6.pcap")
	file, err := os.Open(path)
	if err != nil {
		t.Skipf("needs vectors: %v", err)
	}
	defer file.Close()
	r, err := pcapgo.NewNgReader(file, pcapgo.DefaultNgReaderOptions)
	must(t, err)
	want := map[dhcpv6.OptionCode]string{
		64:  (&s46.AFTRName{Name: "aftr.example.com"}).String(),
		86:  (&s46.PCPServer{Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::5351")}}).String(),
		96:  s46.NewLW(br, netip.MustParseAddr("192.0.2.3"), set("0/6/5"), netip.MustParsePrefix("2001:db8:1:8000::/56")).String(),
		111: (&s46.Priority{Codes: []dhcpv6.OptionCode{96, 94, 64}}).String(),
	}
	answers := 0
	for packet := range gopacket.NewPacketSource(r, layers.LinkTypeEthernet).Packets() {
		udp, ok := packet.Layer(layers.LayerTypeUDP).(*layers.UDP)
		if !ok {
			t.Fatalf("not a datagram: %s", packet)
		}
		m, err := dhcpv6.MessageFromBytes(udp.Payload)
		must(t, err)
		if m.Options.GetOne(dhcpv6.OptionS46ContLW) == nil {
			continue
		}
		answers++
		for code, text := range want {
			data := optionOf(t, m, code)
			o, err := s46.Parse(code, data)
			if err != nil {
				t.Error(err)
			} else if o.String() != text || !bytes.Equal(o.ToBytes(), data) {
				t.Errorf("%x is read as %s and written as %x, want %s", data, o, o.ToBytes(), text)
			}
		}
	}
	if answers != 2 {
		t.Errorf("%d messages with options, want 2", answers)
	}
}
