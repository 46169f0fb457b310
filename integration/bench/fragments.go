package main

import (
	"context"
	"math/rand/v2"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

const (
	wholePacket = 1400 // octets of the IPv4 packet: fits the tunnel
	largePacket = 1500 // octets of the IPv4 packet: does not
	// interleave is how many packets' first fragments come before their second
	// ones do.
	interleave = 16
)

// fragments measures packets that come in two fragments or leave in two, beside
// packets of nearly the same size that do neither.
func (s scale) fragments(ctx context.Context) ([]spec, func() error, error) {
	all, err := makeBindings(s.fewBindings)
	if err != nil {
		return nil, nil, err
	}
	f, err := newForwarder(ctx, forwarder.DefaultConfig(), all)
	if err != nil {
		return nil, nil, err
	}
	var whole4, whole6, large4, halved4, halved6 traffic
	var seconds4, seconds6 [][]byte
	for i, flow := range flows(all, s.largeFlows, rand.New(rand.NewPCG(3, 4))) {
		to := udp4(host, flow.own, wholePacket, uint16(i))
		from := inSoftwire(flow.softwire.B4, flow.softwire.BR, udp4(flow.own, host, wholePacket, uint16(i)))
		whole4.add(dataplane.SideIPv4, to)
		whole6.add(dataplane.SideIPv6, from)
		large4.add(dataplane.SideIPv4, udp4(host, flow.own, largePacket, uint16(i)))

		first4, second4 := halves4(to)
		first6, second6 := halves6(from, uint32(i))
		halved4.add(dataplane.SideIPv4, first4)
		halved6.add(dataplane.SideIPv6, first6)
		seconds4, seconds6 = append(seconds4, second4), append(seconds6, second6)
		if len(seconds4) == interleave || i == s.largeFlows-1 {
			for j := range seconds4 {
				halved4.add(dataplane.SideIPv4, seconds4[j])
				halved6.add(dataplane.SideIPv6, seconds6[j])
			}
			seconds4, seconds6 = nil, nil
		}
	}
	encap, decap := s.newLine(f, &whole4), s.newLine(f, &whole6)
	cut := s.newLine(f, &large4)
	cut.expect = 2 * cut.packets
	join4, join6 := s.newLine(f, &halved4), s.newLine(f, &halved6)
	for _, l := range []*line{join4, join6} {
		l.packets /= 2
		l.expect = l.packets
	}
	const unit = "Mpps/core"
	return []spec{
		{name: "tunnel-cut-in-2", unit: unit, ours: cut.rate, peer: "encapsulated whole", theirs: encap.rate},
		{name: "ipv4-reassembled-from-2", unit: unit, ours: join4.rate, peer: "encapsulated whole", theirs: encap.rate},
		{name: "tunnel-reassembled-from-2", unit: unit, ours: join6.rate, peer: "decapsulated whole", theirs: decap.rate},
		{name: "tunnel-cut-allocations", unit: "per packet", ours: cut.allocations},
		{name: "ipv4-reassembled-allocations", unit: "per packet", ours: join4.allocations},
		{name: "tunnel-reassembled-allocations", unit: "per packet", ours: join6.allocations},
	}, nil, nil
}
