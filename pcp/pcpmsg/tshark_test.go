package pcpmsg

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// kind is one kind of message that this package writes, with what tshark must
// say of it.
type kind struct {
	name     string
	fromPort uint16 // of the server for a response
	payload  []byte
	want     string // opcode and option codes
}

func kinds() []kind {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	client := uint16(40000)
	request := func(r Request, options Options) []byte { r.Options = options; return r.Append(nil) }
	response := func(r Response, options Options) []byte { r.Options = options; return r.Append(nil) }
	announce := Request{Opcode: Announce, Client: v6}
	deletion := mapRequest()
	deletion.Lifetime, deletion.Mapping.ExternalPort, deletion.Mapping.External = 0, 0, netip.IPv4Unspecified()
	granted := Response{Opcode: Map, Lifetime: 3600, Epoch: 77, Body: mapRequest().Body}
	peer := Response{Opcode: Peer, Lifetime: 3600, Epoch: 77, Body: peerRequest().Body}
	whole := request(mapRequest(), PortSet{Size: AllPorts, FirstInternal: 5000}.Append(nil))
	return []kind{
		{"ANNOUNCE request", client, request(announce, nil), "0;"},
		{"ANNOUNCE response", ServerPort, response(Response{Opcode: Announce, Epoch: 1}, nil), "0;"},
		{"MAP request", client, request(mapRequest(), nil), "1;"},
		{"MAP request with PORT_SET", client, whole, "1;130"},
		{"MAP deletion", client, request(deletion, PortSet{Size: AllPorts, FirstInternal: 5000}.Append(nil)), "1;130"},
		{"MAP request with THIRD_PARTY", client, request(mapRequest(), PortSet{Size: 64, FirstInternal: 5000}.Append(ThirdParty(v6).Append(nil))), "1;1,130"},
		{"MAP request with PREFER_FAILURE", client, request(mapRequest(), PreferFailure{}.Append(nil)), "1;2"},
		{"MAP request with FILTER", client, request(mapRequest(), Filter{PrefixLength: 120, Port: 80, Remote: v4}.Append(nil)), "1;3"},
		{"MAP request with DESCRIPTION", client, request(mapRequest(), PortSet{Size: 64, FirstInternal: 5000}.Append(Description("CPE").Append(nil))), "1;128,130"},
		{"MAP request with an unknown option", client, request(mapRequest(), Options(nil).Append(Option{200, make([]byte, 8)})), "1;200"},
		{"MAP response", ServerPort, response(granted, nil), "1;"},
		{"MAP response with PORT_SET", ServerPort, response(granted, PortSet{Size: 64, FirstInternal: 5000}.Append(nil)), "1;130"},
		{"MAP response with THIRD_PARTY", ServerPort, response(granted, PortSet{Size: 64, FirstInternal: 5000}.Append(ThirdParty(v6).Append(nil))), "1;1,130"},
		{"MAP error", ServerPort, AppendError(nil, whole, NoResources, 30, 77), "1;130"},
		{"PEER request", client, request(peerRequest(), nil), "2;"},
		{"PEER response", ServerPort, response(peer, nil), "2;"},
		{"answer to NAT-PMP", ServerPort, AppendError(nil, []byte{0, 0}, UnsuppVersion, 1800, 77), "0;"},
	}
}

// TestTshark has an independent decoder read what this package writes, over
// IPv6 and IPv4.
func TestTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("needs tshark")
	}
	capture := filepath.Join(t.TempDir(), "pcp.pcap")
	writeCapture(t, capture)
	out := run(t, tshark, "-r", capture, "-T", "fields", "-E", "separator=;", "-E", "occurrence=a",
		"-e", "portcontrol.opcode", "-e", "portcontrol.option.code", "-e", "udp.checksum.status")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 2*len(kinds()) {
		t.Fatalf("%d lines for %d messages:\n%s", len(lines), 2*len(kinds()), out)
	}
	const goodChecksum = ";1"
	for i, k := range kinds() {
		for over, line := range lines[2*i : 2*i+2] {
			if want := k.want + goodChecksum; line != want {
				t.Errorf("%s over IPv%d: tshark reads %q, want %q", k.name, 6-2*over, line, want)
			}
		}
	}
	const filter = "_ws.malformed or _ws.expert.severity >= 6291456 and not portcontrol.option.unknown" // a warning
	if out := run(t, tshark, "-r", capture, "-Y", filter); out != "" {
		t.Errorf("tshark warns of\n%s", out)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, append([]string{"-o", "udp.check_checksum:TRUE"}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, errs.Bytes())
	}
	return string(out)
}

// writeCapture writes each kind over IPv6 and then over IPv4.
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
	for _, k := range kinds() {
		from, to := layers.UDPPort(k.fromPort), layers.UDPPort(ServerPort)
		if k.fromPort == ServerPort {
			to = 40000
		}
		ip6 := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP,
			SrcIP: netip.MustParseAddr("2001:db8::2").AsSlice(), DstIP: netip.MustParseAddr("2001:db8::ff").AsSlice()}
		ip4 := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP,
			SrcIP: []byte{192, 0, 0, 2}, DstIP: []byte{192, 0, 0, 1}}
		for _, ip := range []gopacket.SerializableLayer{ip6, ip4} {
			udp := &layers.UDP{SrcPort: from, DstPort: to}
			if err := udp.SetNetworkLayerForChecksum(ip.(gopacket.NetworkLayer)); err != nil {
				t.Fatal(err)
			}
			buffer := gopacket.NewSerializeBuffer()
			options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
			if err := gopacket.SerializeLayers(buffer, options, ip, udp, gopacket.Payload(k.payload)); err != nil {
				t.Fatal(err)
			}
			b := buffer.Bytes()
			info := gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(b), Length: len(b)}
			if err := w.WritePacket(info, b); err != nil {
				t.Fatal(err)
			}
		}
	}
}
