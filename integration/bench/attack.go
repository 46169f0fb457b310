package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

const (
	attackShare = 4 // attack packets to each legitimate one
	// tick is how much later a batch is than the one before, on the clock that
	// the worker is given: 1 Mpps, whatever this machine does.
	tick = batchSize * time.Microsecond
)

// attack measures what legitimate traffic gets while four times as many packets
// try to be expensive: none of it may be lost, and what is sent in answer and
// what is remembered stays within the limits.
func (s scale) attack(ctx context.Context) ([]spec, func() error, error) {
	all, err := makeBindings(s.fewBindings)
	if err != nil {
		return nil, nil, err
	}
	config := forwarder.DefaultConfig()
	f, err := newForwarder(ctx, config, all)
	if err != nil {
		return nil, nil, err
	}
	var clean, mixed traffic
	random := rand.New(rand.NewPCG(5, 6))
	attacker := attacker{random: random, all: all}
	for i, flow := range flows(all, s.largeFlows, random) {
		for _, p := range legitimate(i, flow) {
			clean.add(p.side, p.packet)
			mixed.add(p.side, p.packet)
			for range attackShare {
				a := attacker.packet()
				mixed.add(a.side, a.packet)
			}
		}
	}
	alone := s.newLine(f, &clean)
	alone.expect = s.largeFlows
	underAttack := func() *line {
		l := s.newLine(f, &mixed)
		l.expect = -1
		now := time.Now()
		l.now = func() time.Time { now = now.Add(tick); return now }
		return l
	}
	seen := &witness{line: underAttack(), legitimate: s.largeFlows, before: s.attackBefore, while: s.attackTime}
	rates := config.ICMPv4.Rate.Total + config.ICMPv6.Rate.Total
	memory := held(config.Reassembly.IPv4) + held(config.Reassembly.IPv6)
	const peer = "the legitimate packets alone"
	return []spec{
		{name: "attack-mix", unit: "Mpps/core", ours: underAttack().rate, peer: peer, theirs: alone.rate},
		{name: "attack-mix-delivered", unit: "share", ours: seen.delivered, peer: peer,
			theirs: func(context.Context) (float64, error) { return 1, alone.pass() }, once: true},
		{name: "attack-mix-errors", unit: "ICMP/s", ours: seen.answers, peer: "configured limit", theirs: constant(float64(rates)), once: true},
		{name: "attack-mix-memory", unit: "MiB", ours: seen.memory, peer: "configured for reassembly", theirs: constant(memory / (1 << 20)), once: true},
	}, nil, nil
}

// held is the octets that a reassembly with limits c may take: contents, what
// lies beside each block of them, and what it knows of each packet.
func held(c forwarder.ReassemblyConfig) float64 {
	const block, besideBlock, perPacket = 512, 12, 300
	return float64(c.MaxBytes)*(1+float64(besideBlock)/block) + float64(c.MaxPackets)*perPacket
}

func constant(v float64) measure {
	return func(context.Context) (float64, error) { return v, nil }
}

// arrival is a packet and the side it comes from.
type arrival struct {
	side   dataplane.Side
	packet []byte
}

// legitimate is the i-th packet between a subscriber and the host, one in eight
// of them in two fragments.
func legitimate(i int, f flow) []arrival {
	const size = 400
	to, from := udp4(host, f.own, size, uint16(i)), inSoftwire(f.softwire.B4, f.softwire.BR, udp4(f.own, host, size, uint16(i)))
	switch i % 16 {
	case 0:
		first, second := halves4(to)
		return []arrival{{dataplane.SideIPv4, first}, {dataplane.SideIPv4, second}}
	case 1:
		first, second := halves6(from, uint32(i))
		return []arrival{{dataplane.SideIPv6, first}, {dataplane.SideIPv6, second}}
	}
	if i%2 == 0 {
		return []arrival{{dataplane.SideIPv4, to}}
	}
	return []arrival{{dataplane.SideIPv6, from}}
}
