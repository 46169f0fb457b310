package main

import (
	"context"
	"math/rand/v2"
	"runtime"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// smallPacket is octets of the IPv4 packet.
const smallPacket = 64

// forwarding measures small packets through one worker over a million bindings.
func (s scale) forwarding(ctx context.Context) ([]spec, func() error, error) {
	all, err := makeBindings(s.bindings)
	if err != nil {
		return nil, nil, err
	}
	f, err := newForwarder(ctx, forwarder.DefaultConfig(), all)
	if err != nil {
		return nil, nil, err
	}
	random := rand.New(rand.NewPCG(1, 2))
	var in4, in6 traffic
	for i, flow := range flows(all, s.flows, random) {
		in4.add(dataplane.SideIPv4, udp4(host, flow.own, smallPacket, uint16(i)))
		in6.add(dataplane.SideIPv6, inSoftwire(flow.softwire.B4, flow.softwire.BR, udp4(flow.own, host, smallPacket, uint16(i))))
	}
	plain := newPlainMap(all)
	encap, decap := s.newLine(f, &in4), s.newLine(f, &in6)
	const peer = "Go map of the bindings and a copy"
	return []spec{
		{name: "encapsulate-64", unit: "Mpps/core", ours: encap.rate, peer: peer, theirs: plain.rate(&in4, s.rateTime)},
		{name: "decapsulate-64", unit: "Mpps/core", ours: decap.rate, peer: peer, theirs: plain.rate(&in6, s.rateTime)},
		{name: "encapsulate-64-allocations", unit: "per packet", ours: encap.allocations},
		{name: "decapsulate-64-allocations", unit: "per packet", ours: decap.allocations},
		{name: "binding-memory", unit: "bytes/binding", ours: tableMemory(all), peer: "Go map of the bindings", theirs: mapMemory(all)},
	}, nil, nil
}

// tableMemory measures the heap of a binding table per binding.
func tableMemory(all []softwire.Softwire) measure {
	return func(context.Context) (float64, error) {
		return heapOf(len(all), func() (any, error) {
			t := softwire.NewTable()
			return t, t.Apply(softwire.Change{Put: all})
		})
	}
}

// heapOf measures the heap that what make returns holds, in octets per each of
// n.
func heapOf(n int, create func() (any, error)) (float64, error) {
	before := heap()
	made, err := create()
	if err != nil {
		return 0, err
	}
	after := heap()
	runtime.KeepAlive(made)
	return (after - before) / float64(n), nil
}
