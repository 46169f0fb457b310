package vectors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net"
	"testing"
	"testing/fstest"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// casesJSON is a small cases.json with everything a published one has.
func casesJSON() map[string]any {
	type object = map[string]any
	side := func(extra object) object {
		s := object{
			"mtu": 1460, "mru": 1460, "allow_incoming_icmp": true, "generate_icmp_errors": false,
			"ingress_filter": nil, "egress_filter": "ip", "error_rate_packets": 600000, "error_rate_period_s": 2,
			"max_fragments_per_packet": 40, "max_packets": 20000,
		}
		for k, v := range extra {
			s[k] = v
		}
		return s
	}
	return object{
		"confs": object{"a.conf": object{
			"softwires": []any{
				object{"ipv4": "178.51.100.1", "psid_length": 0, "reserved_bits": 0, "psid": 0, "b4_ipv6": "2001:db8::b1", "br_address": "2001:db8::1", "ports": "0-65535"},
				object{"ipv4": "178.51.100.7", "psid_length": 6, "reserved_bits": 0, "psid": 4, "b4_ipv6": "2001:db8::b4", "br_address": "2001:db8::af", "ports": "4096-5119"},
			},
			"external": side(nil),
			"internal": side(object{
				"mtu": 1500, "allow_incoming_icmp": false, "generate_icmp_errors": true, "ingress_filter": "len < 0",
				"egress_filter": "ip6", "error_rate_packets": 6000, "max_fragments_per_packet": 2, "hairpinning": true, "flow_label": 0,
			}),
			"ext_if": object{"ip": "10.10.10.10", "mac": "12:12:12:12:12:12", "vlan": nil},
			"int_if": object{"ip": "2001:db8::1", "mac": "22:22:22:22:22:22", "vlan": 7},
		}},
		"cases": []any{object{
			"index": 4, "name": "to a lwB4", "category": "encap", "clause": "-", "compare": "exact", "conf": "a.conf",
			"in_v4": "pcap/in.pcap", "in_v6": nil, "out_v4": nil, "out_v6": "pcap/out.pcap", "decoded": object{},
		}},
	}
}

// folder is a folder of vectors in memory, changed by damage.
func folder(t *testing.T, damage func(map[string]any)) fstest.MapFS {
	t.Helper()
	d := casesJSON()
	if damage != nil {
		damage(d)
	}
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	tagged := frame(etherVLAN, append([]byte{0, 9, 0x08, 0x00}, sample(t, 3)...))
	return fstest.MapFS{
		"lwaftr/cases.json":    {Data: data},
		"lwaftr/pcap/in.pcap":  {Data: capture(t, frame(etherIPv4, sample(t, 1)))},
		"lwaftr/pcap/out.pcap": {Data: capture(t, frame(etherIPv4, sample(t, 2)), tagged)},
		"etc/passwd":           {Data: []byte("outside")},
	}
}

// sample is an IPv4 packet that differs by its identification.
func sample(t testing.TB, id uint16) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, TTL: 60, Id: id, Protocol: layers.IPProtocolUDP,
		SrcIP: net.IPv4(198, 51, 100, byte(id)), DstIP: net.IPv4(192, 0, 2, 1)}
	udp := &layers.UDP{SrcPort: 53, DstPort: 4100}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialize(t, ip, udp, gopacket.Payload("twenty bytes of text"))
}

// tunnelled is sample in a softwire.
func tunnelled(t testing.TB) []byte {
	ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolIPv4,
		SrcIP: net.ParseIP("2001:db8::b4"), DstIP: net.ParseIP("2001:db8::af")}
	return serialize(t, ip, gopacket.Payload(sample(t, 1)))
}

func serialize(t testing.TB, l ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, l...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// frame puts an Ethernet header before payload.
func frame(kind uint16, payload []byte) []byte {
	f := binary.BigEndian.AppendUint16(make([]byte, 12), kind)
	return append(f, payload...)
}

func capture(t testing.TB, frames ...[]byte) []byte {
	return pcap(t, layers.LinkTypeEthernet, 0, frames...)
}

// truncated is a capture whose last byte of each frame was not kept.
func truncated(t testing.TB, frames ...[]byte) []byte {
	return pcap(t, layers.LinkTypeEthernet, 1, frames...)
}

func rawCapture(t testing.TB) []byte { return pcap(t, layers.LinkTypeRaw, 0) }

func pcap(t testing.TB, link layers.LinkType, lost int, frames ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	if err := w.WriteFileHeader(65536, link); err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		info := gopacket.CaptureInfo{Length: len(f), CaptureLength: len(f) - lost}
		if err := w.WritePacket(info, f[:len(f)-lost]); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}
