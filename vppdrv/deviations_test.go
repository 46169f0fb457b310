package vppdrv

import (
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// TestDeviations holds what docs/vpp.md says of a stock VPP under "What differs
// from the forwarder". A case that fails here may be good news: then the page
// says too much.
func TestDeviations(t *testing.T) {
	b := newParties(t, func(c *Config) {
		c.Forwarding.ICMPv4.TimeExceeded = false
		c.Forwarding.Hairpin = false
	})
	inside, outside := netip.AddrPortFrom(shared, portShared), netip.AddrPortFrom(host, 53)
	fromB4 := func(packet []byte) []byte { return tunnelled(b4Shared, br1, packet) }

	badSum := serialize(ip4(host, shared, layers.IPProtocolICMPv4), echo4(portShared), gopacket.Payload("data"))
	badSum[ip4Header+2] ^= 1 // in the ICMP checksum

	ofSCTP := ip4(host, shared, layers.IPProtocolSCTP)
	withOptions := ip4(host, shared, layers.IPProtocolUDP)
	withOptions.Options = []layers.IPv4Option{{OptionType: 1}, {OptionType: 1}, {OptionType: 1}, {OptionType: 0}} // no operation
	toB4 := &layers.UDP{SrcPort: 53, DstPort: portShared}

	congested := ip6(b4Shared, br1, layers.IPProtocolIPv4)
	congested.TrafficClass = 3 // CE
	capable := ip4(shared, host, layers.IPProtocolUDP)
	capable.TOS = 2 // ECT(0)
	fromPort := &layers.UDP{SrcPort: portShared, DstPort: 53}

	expiring := ip4(shared, host, layers.IPProtocolUDP)
	expiring.TTL = 1
	marked := ip6(b4Nobody, br1, layers.IPProtocolUDP)
	marked.TrafficClass = 0x30

	long, other := udp4(outside, inside, 1204), udp4(inside, outside, 1200)
	neighbors := udp4(netip.AddrPortFrom(shared, portNeighbor), outside, 1200)
	for _, tt := range []struct {
		name string
		side dataplane.Side
		in   [][]byte
		out  [2]int // packets by side
	}{
		{"a wrong ICMP checksum passes", side4, [][]byte{badSum}, [2]int{side6: 1}},
		{"SCTP to a shared address is dropped", side4, [][]byte{withTransport(ofSCTP, toB4, nil)}, [2]int{}},
		{"IPv4 options are dropped", side4, [][]byte{withTransport(withOptions, toB4, nil)}, [2]int{}},
		{"a last fragment of 4 octets is dropped", side4,
			[][]byte{cut(long, 1, 0, 1208), cut(long, 1, 1208, 1212)}, [2]int{side6: 1}},
		{"a neighbor's fragment stands for that of another lwB4", side6,
			[][]byte{tunnelled(b4Neighbor, br1, cut(neighbors, 2, 0, 640)), fromB4(cut(other, 2, 640, 1208))}, [2]int{side4: 1}},
		{"a spoofed fragment is not answered", side6, [][]byte{tunnelled(b4Nobody, br1, cut(other, 3, 0, 640))}, [2]int{}},
		{"without hairpinning packets to lwB4s are dropped", side6,
			[][]byte{fromB4(udp4(inside, netip.AddrPortFrom(whole, 9), 20))}, [2]int{}},
		{"a source that no host has passes", side4,
			[][]byte{udp4(netip.AddrPortFrom(addr("127.0.0.1"), 53), inside, 20)}, [2]int{side6: 1}},
		{"a time exceeded is sent to lwB4s in any case", side6, [][]byte{fromB4(withTransport(expiring, fromPort, nil))}, [2]int{side6: 1}},
		{"an exception with a traffic class of 0x30 is lost", side6,
			[][]byte{withTransport(marked, &layers.UDP{SrcPort: 40000, DstPort: pcpPort}, make([]byte, 24))}, [2]int{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := b.exchange(t, tt.side, tt.in...)
			if len(out[side4]) != tt.out[side4] || len(out[side6]) != tt.out[side6] {
				t.Errorf("%v came out, want %v packets", out, tt.out)
			}
		})
	}
	if n := b.waiting(t); n != 0 {
		t.Errorf("%d exceptions got through", n)
	}
	t.Run("congestion outside is forgotten", func(t *testing.T) {
		out := b.exchange(t, side6, serialize(congested, gopacket.Payload(withTransport(capable, fromPort, nil))))
		if len(out[side4]) != 1 || layer[*layers.IPv4](out[side4][0]).TOS != capable.TOS {
			t.Errorf("%v came out", out)
		}
	})
}
