package datagram

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var (
	plainDatagram = Datagram{
		From: netip.MustParseAddrPort("[2001:db8:1000::1]:40000"), To: netip.MustParseAddrPort("[2001:db8:ff::1]:5351"),
		Payload: []byte("some octets"),
	}
	softwireDatagram = Datagram{
		OuterFrom: netip.MustParseAddr("2001:db8:1000::1"), OuterTo: netip.MustParseAddr("2001:db8:ff::1"),
		From: netip.MustParseAddrPort("192.0.0.2:40000"), To: netip.MustParseAddrPort("192.0.0.1:5351"),
		Payload: []byte("an odd number"),
	}
)

// TestDatagram holds packets against those of another implementation, octet by
// octet.
func TestDatagram(t *testing.T) {
	outer := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP,
		SrcIP: netip.MustParseAddr("2001:db8:1000::1").AsSlice(), DstIP: netip.MustParseAddr("2001:db8:ff::1").AsSlice()}
	inner := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: []byte{192, 0, 0, 2}, DstIP: []byte{192, 0, 0, 1}}
	udp := &layers.UDP{SrcPort: 40000, DstPort: 5351}
	serialize := func(under gopacket.NetworkLayer, parts ...gopacket.SerializableLayer) []byte {
		if err := udp.SetNetworkLayerForChecksum(under); err != nil {
			t.Fatal(err)
		}
		b := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	compare(t, plainDatagram, serialize(outer, outer, udp, gopacket.Payload(plainDatagram.Payload)))
	outer.NextHeader = layers.IPProtocolIPv4
	compare(t, softwireDatagram, serialize(inner, outer, inner, udp, gopacket.Payload(softwireDatagram.Payload)))
}

func compare(t *testing.T, d Datagram, want []byte) {
	t.Helper()
	if got := d.Packet(); !bytes.Equal(got, want) {
		t.Fatalf("got  %x\nwant %x", got, want)
	}
	got, err := Parse(want)
	if err != nil || !sameDatagram(got, d) {
		t.Fatalf("read %+v, %v", got, err)
	}
	back, err := Parse(d.Reply([]byte("back")).Packet())
	if err != nil || back.From != d.To || back.OuterTo != d.OuterFrom || string(back.Payload) != "back" {
		t.Fatalf("the reply is read as %+v, %v", back, err)
	}
}

func sameDatagram(a, b Datagram) bool {
	return a.OuterFrom == b.OuterFrom && a.OuterTo == b.OuterTo && a.From == b.From && a.To == b.To && bytes.Equal(a.Payload, b.Payload)
}

// TestDatagramDamage: no changed bit of a header or payload goes unnoticed but in
// what nobody looks at.
func TestDatagramDamage(t *testing.T) {
	for _, d := range []Datagram{plainDatagram, softwireDatagram} {
		whole := d.Packet()
		for cut := range whole {
			if _, err := Parse(whole[:cut]); !errors.Is(err, ErrFormat) {
				t.Fatalf("%d octets of %d are read: %v", cut, len(whole), err)
			}
		}
		for at := range whole {
			if at > 0 && at < 4 || at == 7 { // traffic class, flow label, hop limit
				continue
			}
			damaged := bytes.Clone(whole)
			damaged[at] ^= 0x10
			got, err := Parse(damaged)
			// No checksum is over the outer addresses of a softwire.
			outer := d.OuterFrom.IsValid() && at >= 8 && at < 40
			if err == nil && (!outer || sameDatagram(got, d)) {
				t.Fatalf("octet %d changed, and it is read as %+v", at, got)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(plainDatagram.Packet())
	f.Add(softwireDatagram.Packet())
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(d.Packet())
		if err != nil || !sameDatagram(d, again) {
			t.Fatalf("%x is read as %+v, and then as %+v, %v", b, d, again, err)
		}
	})
}
