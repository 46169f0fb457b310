package main

import (
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// TestPacket takes described packets apart with another library.
func TestPacket(t *testing.T) {
	base := description{innerSrc: "203.0.113.9", innerDst: "192.0.2.1", proto: "udp", sport: 443, dport: 1500, id: 77, ttl: 9, tos: 0xb9, df: true}
	for _, side := range []dataplane.Side{dataplane.SideIPv4, dataplane.SideIPv6} {
		for _, proto := range []string{"udp", "tcp", "icmp", "47"} {
			for _, length := range []uint16{0, 101, 1500} {
				t.Run(side.String()+" "+proto+" "+strconv.Itoa(int(length)), func(t *testing.T) {
					d := base
					d.proto, d.length = proto, length
					first := gopacket.LayerType(layers.LayerTypeIPv4)
					if side == dataplane.SideIPv6 {
						d.outerSrc, d.outerDst = "2001:db8::1", "2001:db8:ffff::1"
						first = layers.LayerTypeIPv6
					}
					raw, err := d.packet(side)
					if err != nil {
						t.Fatal(err)
					}
					p := gopacket.NewPacket(raw, first, gopacket.Default)
					checkChecksums(t, p)
					checkIP(t, p, d, side)
					checkTransport(t, p, d)
				})
			}
		}
	}
}

func checkChecksums(t *testing.T, p gopacket.Packet) {
	t.Helper()
	for _, l := range p.Layers() {
		// The pseudo header is of the layer around; the library asks for it.
		if l, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok {
			if err := l.SetNetworkLayerForChecksum(p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
		t.Errorf("wrong checksums: %v, %v", err, bad)
	}
}

func checkIP(t *testing.T, p gopacket.Packet, d description, side dataplane.Side) {
	t.Helper()
	ip, ok := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	if !ok {
		t.Fatal("no IPv4 packet")
	}
	if ip.SrcIP.String() != d.innerSrc || ip.DstIP.String() != d.innerDst || ip.TTL != d.ttl || ip.TOS != d.tos ||
		ip.Flags != layers.IPv4DontFragment || d.length != 0 && ip.Length != d.length {
		t.Errorf("IPv4 header %+v", ip)
	}
	if side == dataplane.SideIPv4 {
		return
	}
	outer, ok := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	if !ok || outer.SrcIP.String() != d.outerSrc || outer.DstIP.String() != d.outerDst || outer.TrafficClass != d.tos || outer.Length != ip.Length {
		t.Errorf("IPv6 header %+v", outer)
	}
}

func checkTransport(t *testing.T, p gopacket.Packet, d description) {
	t.Helper()
	switch d.proto {
	case "udp":
		if l, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP); !ok || l.SrcPort != 443 || l.DstPort != 1500 {
			t.Errorf("UDP %+v", l)
		}
	case "tcp":
		if l, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP); !ok || l.SrcPort != 443 || l.DstPort != 1500 || l.SYN {
			t.Errorf("TCP %+v", l)
		}
	case "icmp":
		if l, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); !ok || l.Id != 77 || l.TypeCode.Type() != layers.ICMPv4TypeEchoRequest {
			t.Errorf("ICMP %+v", l)
		}
	}
}

// TestTraceOffline: a whole trace without a running router.
func TestTraceOffline(t *testing.T) {
	path := configure(t, t.TempDir(), "", "192.0.2.1,1,2001:db8::1")
	trace := func(args string) result {
		t.Helper()
		return lwaftr(t, append([]string{"trace", "--offline", "-c", path}, strings.Fields(args)...)...)
	}
	const in = "--inner-src 203.0.113.9 --inner-dst 192.0.2.1 --proto tcp --sport 443 "
	r := trace(in+"--dport 1040 -x").want(t, exitOK)
	for _, want := range []string{" 1. 40 octets from the ipv4 side\n", "lwB4 2001:db8::1", "to the ipv6 side:\n00000000  60 "} {
		if !strings.Contains(r.out, want) {
			t.Errorf("a packet to a softwire: lacks %q:\n%s", want, r.out)
		}
	}
	// One port beyond the softwire's first range.
	sent := decode[api.Trace](t, trace(in+"--dport 1056 -o json").want(t, exitOK).out)
	for _, p := range sent.Sent {
		if p.Side == "ipv6" {
			t.Error("a packet to a port of nobody is sent to a lwB4")
		}
	}
	const out = "--outer-dst 2001:db8:ffff::1 --inner-src 192.0.2.1 --inner-dst 203.0.113.9 --sport 1040 "
	good := decode[api.Trace](t, trace(out+"--outer-src 2001:db8::1 -o json").want(t, exitOK).out)
	if len(good.Sent) != 1 || good.Sent[0].Side != "ipv4" {
		t.Errorf("a packet from a softwire: %+v", good)
	}
	spoofed := decode[api.Trace](t, trace(out+"--outer-src 2001:db8::2 -o json").want(t, exitOK).out)
	for _, p := range spoofed.Sent {
		if p.Side == "ipv4" {
			t.Error("a packet from a wrong lwB4 is sent to the IPv4 side")
		}
	}
	again := decode[api.Trace](t, trace("--side ipv4 -o json --hex "+hex.EncodeToString(good.Sent[0].Packet)).want(t, exitOK).out)
	if len(again.Steps) == 0 {
		t.Error("a packet in hex is not traced")
	}
	configure(t, strings.TrimSuffix(path, "/lwaftr.yaml"), "", "192.0.2.1,99,2001:db8::1")
	trace(in+"--dport 1040").want(t, exitUsage)
}

func FuzzPacket(f *testing.F) {
	f.Add("ipv6", "2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2", "tcp", uint16(1), uint16(0))
	f.Add("ipv4", "", "", "192.0.2.1", "192.0.2.2", "255", uint16(20), uint16(65535))
	f.Fuzz(func(t *testing.T, side, outerSrc, outerDst, innerSrc, innerDst, proto string, port, length uint16) {
		d := description{side: side, outerSrc: outerSrc, outerDst: outerDst, innerSrc: innerSrc, innerDst: innerDst,
			proto: proto, sport: port, dport: port, id: port, length: length}
		from, err := d.parseSide()
		if err != nil {
			return
		}
		p, err := d.packet(from)
		if err == nil && len(p) < ipv4Header {
			t.Errorf("a packet of %d octets", len(p))
		}
	})
}
