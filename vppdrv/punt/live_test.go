package punt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/vppdrv/punt"
	"github.com/lwaftr/lw4o6/vppdrv/stats"
	"github.com/lwaftr/lw4o6/vppdrv/topology"
	"github.com/lwaftr/lw4o6/vppdrv/vppapi"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

// patience bounds the wait for a packet that VPP is to hand over.
const patience = 30 * time.Second

const (
	br, b4, peer = "2001:db8::1", "2001:db8:1::5", "198.51.100.7"
	vlanNumber   = 10
)

// lab is a VPP with our topology, and a lwB4 on a VLAN and off it.
type lab struct {
	*vpptest.VPP
	t        *testing.T
	ip4, ip6 *vpptest.Port

	topology *topology.Topology
	socket   *punt.Socket
	end      func() // of the connection to VPP
}

func (l *lab) begin() {
	t := l.t
	l.Lines(fmt.Sprintf(`
		create sub-interfaces %[2]s %[5]d
		set interface state %[2]s.%[5]d up
		set interface ip address %[1]s 192.0.2.1/24
		set interface ip address %[2]s 2001:db8:f::1/64
		set interface ip address %[2]s.%[5]d 2001:db8:e::1/64
		set ip neighbor %[1]s 192.0.2.2 %[3]s
		set ip neighbor %[2]s 2001:db8:f::2 %[4]s
		ip route add 198.51.100.0/24 via 192.0.2.2 %[1]s
		ip route add 2001:db8:1::/48 via 2001:db8:f::2 %[2]s`,
		l.ip4.Interface, l.ip6.Interface, l.ip4.MAC, l.ip6.MAC, vlanNumber))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := vppapi.Dial(ctx, l.API, "test")
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = conn.Run(running) // what calls return is looked at
	}()
	l.end = func() {
		stop()
		<-ended
	}
	l.topology, err = topology.Build(ctx, conn, topology.Config{
		Tag: "lw4o6:test", Tables: 4000, Own4: netip.MustParseAddr("192.0.0.8"), TunnelMTU: 1500, Hairpin: true,
		Reassembly4: topology.Reassembly{Packets: 1024, Fragments: 16, Timeout: 500},
		Reassembly6: topology.Reassembly{Packets: 1024, Fragments: 16, Timeout: 500},
	})
	if err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddr(br)
	if err := errors.Join(l.topology.AddBR(ctx, address), l.topology.LeadBR(ctx, address)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(l.Dir(), "exceptions.sock")
	if l.socket, err = punt.Listen(path, l.Punt); err != nil {
		t.Fatal(err)
	}
	server, err := l.topology.Punt(ctx, path)
	if err != nil || server != l.Punt {
		t.Fatalf("VPP's punt socket %q, %v, want %s", server, err, l.Punt)
	}
}

// punted sends a packet to VPP and expects VPP to hand it over.
func (l *lab) punted(what string, reason topology.Reason, packet []byte, send func([]byte) error) {
	l.t.Helper()
	if err := send(packet); err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	index, got, err := l.socket.Receive(ctx)
	if err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
	if r := l.topology.Reason(topology.Index(index)); r != reason || !bytes.Equal(got, packet) {
		l.t.Errorf("%s: interface %d, reason %d, want %d; packet\n%x, want\n%x", what, index, r, reason, got, packet)
	}
	l.t.Logf("%s: interface %d, %d octets", what, index, len(got))
}

// sent has VPP send a packet and expects it on a port, a hop older at most.
func (l *lab) sent(index topology.Index, packet []byte, port *vpptest.Port) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	if err := l.socket.Send(ctx, uint32(index), packet); err != nil {
		l.t.Fatal(err)
	}
	got, err := port.Receive(ctx)
	if err != nil || !bytes.Equal(got, packet) {
		l.t.Errorf("from interface %d VPP sent %x, %v, want %x", index, got, err, packet)
	}
}

// counted is an event as VPP counts it.
func (l *lab) counted(event string) uint64 {
	l.t.Helper()
	r, err := stats.New(l.Stats).Read(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range r.Events {
		if e.Name == event {
			return e.Packets
		}
	}
	l.t.Fatalf("VPP does not count %s", event)
	return 0
}

// overflow has VPP hand over more packets than anybody takes. It drops and
// counts them, and goes on.
func (l *lab) overflow() {
	const drops = "drop-exception-queue"
	for deadline := time.Now().Add(patience); l.counted(drops) == 0; {
		if time.Now().After(deadline) {
			l.t.Fatalf("VPP counts no %s", drops)
		}
		if err := l.ip6.Send(pcp(24)); err != nil {
			l.t.Fatal(err)
		}
	}
	l.t.Logf("%d exceptions were taken, %d were dropped", l.counted("exceptions"), l.counted(drops))
	l.punted("PCP after an overflow", topology.PCP, pcp(24), func([]byte) error { return nil })
}

// tagged sends a packet on the VLAN.
func (l *lab) tagged(packet []byte) error {
	frame := append(append([]byte(nil), l.ip6.VPPMAC...), l.ip6.MAC...)
	for _, field := range []uint16{0x8100, vlanNumber, 0x86dd} {
		frame = binary.BigEndian.AppendUint16(frame, field)
	}
	return l.ip6.SendFrame(append(frame, packet...))
}

// pcp is a PCP request of some octets to the BR address.
func pcp(payload int) []byte {
	ip := &layers.IPv6{
		Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP,
		SrcIP: netip.MustParseAddr(b4).AsSlice(), DstIP: netip.MustParseAddr(br).AsSlice(),
	}
	u := &layers.UDP{SrcPort: 4000, DstPort: 5351}
	_ = u.SetNetworkLayerForChecksum(ip) // only fails for other layers
	return serialized(ip, u, gopacket.Payload(make([]byte, payload)))
}

func serialized(all ...gopacket.SerializableLayer) []byte {
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// TestLive: packets come from VPP and go to VPP, with a VLAN tag and without,
// in one buffer and in several, also when it is another VPP.
func TestLive(t *testing.T) {
	l := &lab{VPP: vpptest.Start(t, vpptest.Config{}), t: t}
	l.ip4, l.ip6 = l.AddPort(), l.AddPort()
	in6 := serialized(&layers.IPv6{
		Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolNoNextHeader,
		SrcIP: netip.MustParseAddr(br).AsSlice(), DstIP: netip.MustParseAddr(b4).AsSlice(),
	}, gopacket.Payload(make([]byte, 1200)))
	in4 := serialized(&layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP,
		SrcIP: netip.MustParseAddr("192.0.0.8").AsSlice(), DstIP: netip.MustParseAddr(peer).AsSlice(),
	}, gopacket.Payload(make([]byte, 600)))
	largest := serialized(&layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP,
		SrcIP: netip.MustParseAddr("192.0.0.8").AsSlice(), DstIP: netip.MustParseAddr(peer).AsSlice(),
	}, gopacket.Payload(make([]byte, punt.MaxPacket-20)))
	for round := range 2 {
		if round > 0 {
			l.Kill()
			if err := l.socket.Send(t.Context(), 0, in6); err == nil {
				t.Error("sent to a dead VPP")
			}
			l.socket.Close()
			l.end()
			l.Restart()
			l.Reattach(l.ip4)
			l.Reattach(l.ip6)
		}
		l.begin()
		l.punted("PCP", topology.PCP, pcp(24), l.ip6.Send)
		l.punted("PCP on a VLAN", topology.PCP, pcp(60), l.tagged)
		l.punted("PCP in several buffers", topology.PCP, pcp(5000), l.ip6.Send)
		ip4, ip6 := l.topology.Inject()
		l.sent(ip6, in6, l.ip6)
		l.sent(ip4, in4, l.ip4)
		l.sent(ip4, largest, l.ip4)
	}
	if n := l.counted("exceptions"); n != 3 {
		t.Errorf("VPP counts %d exceptions", n)
	}
	l.overflow()
	l.socket.Close()
	l.end()
}
