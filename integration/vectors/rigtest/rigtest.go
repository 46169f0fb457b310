// Package rigtest owns the cases that every rig is tested with, so that the way
// through it is tested without anybody's vectors: each in a form that passes and
// one that must not.
package rigtest

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/integration/vectors"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Vectors runs the vectors of a folder, where there is one, on what start starts.
func Vectors(t *testing.T, folder string, start vectors.Factory, deviations []vectors.Deviation) {
	cases, err := vectors.Load(os.DirFS(folder))
	if errors.Is(err, fs.ErrNotExist) && os.Getenv(vectors.Environment) == "" {
		t.Skipf("no vectors in %s; set %s to a folder of them", vectors.DefaultFolder, vectors.Environment)
	}
	if err != nil {
		t.Fatal(err)
	}
	vectors.Deviate(cases, deviations)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			vectors.Run(t.Context(), []vectors.Case{c}, start, func(r vectors.Result) {
				switch r.Verdict {
				case vectors.Failed:
					t.Error(r)
				case vectors.Skipped:
					t.Skip(r)
				}
			})
		})
	}
}

// Run runs the cases on what start starts.
func Run(t *testing.T, start vectors.Factory) {
	setup := Setup(t)
	in := udp(t, 60, 4100)
	tunnelled := inSoftwire(t, udp(t, 59, 4100))
	elsewhere := inSoftwire(t, udp(t, 59, 4101))
	filtered := setup
	filtered.DropIn[dataplane.SideIPv4] = true

	to4 := func(p ...[]byte) [2][][]byte { return [2][][]byte{dataplane.SideIPv4: p} }
	to6 := func(p ...[]byte) [2][][]byte { return [2][][]byte{dataplane.SideIPv6: p} }
	tests := []struct {
		name string
		c    vectors.Case
		want vectors.Verdict
	}{
		{"encapsulated", vectors.Case{Setup: setup, In: to4(in), Out: to6(tunnelled)}, vectors.Passed},
		{"something else was wanted", vectors.Case{Setup: setup, In: to4(in), Out: to6(elsewhere)}, vectors.Failed},
		{"unbound", vectors.Case{Setup: setup, Category: "unbound", In: to4(udp(t, 60, 9000))}, vectors.Passed},
		{"bound where silence was wanted", vectors.Case{Setup: setup, Category: "unbound", In: to4(in)}, vectors.Failed},
		{"filtered", vectors.Case{Setup: filtered, Category: "filter", In: to4(in)}, vectors.Passed},
		{"unbound where a filter was wanted", vectors.Case{Setup: setup, Category: "filter", In: to4(udp(t, 60, 9000))}, vectors.Failed},
		{"broken where an unbound one was wanted", vectors.Case{Setup: setup, Category: "unbound", In: to4(in[:19])}, vectors.Failed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vectors.Run(t.Context(), []vectors.Case{tt.c}, start, func(r vectors.Result) {
				if r.Verdict != tt.want {
					t.Errorf("%s, want %s", r, tt.want)
				}
			})
		})
	}
}

var (
	host = netip.MustParseAddr("198.51.100.9")
	own  = netip.MustParseAddr("192.0.2.1")
	b4   = netip.MustParseAddr("2001:db8:1::1")
	br   = netip.MustParseAddr("2001:db8::af")
)

// Setup is that of the cases: one softwire.
func Setup(t *testing.T) vectors.Setup {
	t.Helper()
	ports, err := portset.Of(0, 6, 4) // 4096-5119
	if err != nil {
		t.Fatal(err)
	}
	return vectors.Setup{
		Softwires:   []softwire.Softwire{{IPv4: own, PortSet: ports, B4: b4, BR: br}},
		IPv4Address: netip.MustParseAddr("192.0.2.254"),
		BRAddress:   br,
		IPv4MTU:     1500, TunnelMTU: 1500,
		MaxFragments: [2]int{40, 40}, MaxPackets: [2]int{100, 100},
	}
}

// udp is a packet of the host to a port of our address.
func udp(t *testing.T, ttl uint8, port uint16) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, TTL: ttl, Protocol: layers.IPProtocolUDP,
		SrcIP: net.IP(host.AsSlice()), DstIP: net.IP(own.AsSlice())}
	datagram := &layers.UDP{SrcPort: 53, DstPort: layers.UDPPort(port)}
	if err := datagram.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialize(t, ip, datagram, gopacket.Payload("answer"))
}

func inSoftwire(t *testing.T, packet []byte) []byte {
	t.Helper()
	return serialize(t, &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolIPv4,
		SrcIP: br.AsSlice(), DstIP: b4.AsSlice()}, gopacket.Payload(packet))
}

func serialize(t *testing.T, l ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, l...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
