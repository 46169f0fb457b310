package conformance

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// robustnessCases: what a data plane is not to be shaken by.
func robustnessCases() []testCase {
	return []testCase{
		{name: "robust/malformed-ipv4", required: true, run: func(l *lab) {
			l.put(alice())
			for name, packet := range malformed4(udp4(web, at(alice()), text(30)).bytes()) {
				l.comesToNothing(dataplane.SideIPv4, name, packet)
			}
			l.carries(alice())
		}},
		{name: "robust/malformed-tunnel", required: true, run: func(l *lab) {
			l.put(alice())
			inner := udp4(at(alice()), web, text(30))
			good := fromB4(alice(), inner)
			for _, cut := range []int{1, 39, 40, 41, 59, 60, 63} {
				l.comesToNothing(dataplane.SideIPv6, fmt.Sprintf("cut at byte %d", cut), good[:cut])
			}
			for name, bad := range malformed4(inner.bytes()) {
				if name != "header checksum" { // tunnel exit points need not look
					o := outer{src: alice().B4, dst: alice().BR, hops: 64}
					l.comesToNothing(dataplane.SideIPv6, "inner "+name, o.around(bad))
				}
			}
			l.carries(alice())
		}},
		{name: "robust/not-for-the-aftr", required: true, run: func(l *lab) {
			l.put(alice())
			// Other protocols to a BR address, and tunnels to somebody else.
			o := outer{src: alice().B4, dst: br1, hops: 64}
			l.drops(dataplane.SideIPv6, udp6(netip.AddrPortFrom(o.src, 4321), netip.AddrPortFrom(br1, 53), text(30)))
			o.dst = netip.MustParseAddr("2001:db8:300::1")
			l.drops(dataplane.SideIPv6, o.around(udp4(at(alice()), web, text(30)).bytes()))
		}},
		{name: "robust/concurrent-use", run: concurrentUse},
	}
}

// malformed4 are packets that good becomes by one wrong field each. good is an
// IPv4 packet without options.
func malformed4(good []byte) map[string][]byte {
	bad := make(map[string][]byte)
	change := func(name string, f func(p []byte) []byte) {
		bad[name] = f(append([]byte(nil), good...))
	}
	change("cut in the header", func(p []byte) []byte { return p[:12] })
	change("cut in the ports", func(p []byte) []byte { return p[:22] })
	change("total length beyond the packet", func(p []byte) []byte { p[2] = 0xff; return mended(p) })
	change("total length below the header", func(p []byte) []byte { p[2], p[3] = 0, 19; return mended(p) })
	change("header length below the minimum", func(p []byte) []byte { p[0] = 0x44; return mended(p) })
	change("header length beyond the packet", func(p []byte) []byte { p[0] = 0x4f; return p[:40] })
	change("version", func(p []byte) []byte { p[0] = 0x55; return mended(p) })
	change("header checksum", func(p []byte) []byte { p[10] ^= 0x40; return p })
	return bad
}

// mended is p with the right checksum over its first 20 bytes (RFC 1071).
func mended(p []byte) []byte {
	p[10], p[11] = 0, 0
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(p[i])<<8 | uint32(p[i+1])
	}
	sum = sum>>16 + sum&0xffff
	sum = ^(sum>>16 + sum)
	p[10], p[11] = byte(sum>>8), byte(sum)
	return p
}

// comesToNothing requires that no packet but an ICMP error comes of packet.
// Where it is counted is not asked: a device may have discarded it already.
func (l *lab) comesToNothing(side dataplane.Side, name string, packet []byte) {
	l.Helper()
	for out, packets := range l.exchange(side, packet) {
		for _, p := range packets {
			if out != side || !isErrorAbout(packet, p) {
				l.Errorf("%s: out of the %s side came %s\nsent %x", name, out, describe(p), packet)
			}
		}
	}
}

// concurrentUse programs and reads from several goroutines while packets pass.
func concurrentUse(l *lab) {
	l.put(alice(), carol())
	ctx, cancel := l.patiently()
	defer cancel()
	const workers, rounds = 4, 25
	failures := make(chan error, 2*workers)
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() { failures <- churn(ctx, l.dp, i, rounds) })
		group.Go(func() { failures <- observe(ctx, l.dp, rounds) })
	}
	for range rounds {
		l.carries(alice())
		l.carries(carol())
	}
	group.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			l.Errorf("%v", err)
		}
	}
	l.holds(alice(), carol())
}

// churn puts and removes softwires of its own.
func churn(ctx context.Context, dp dataplane.Dataplane, worker, rounds int) error {
	sw := softwire.Softwire{
		IPv4: netip.AddrFrom4([4]byte{192, 0, 2, byte(200 + worker)}), PortSet: set(0, 6, 3),
		B4: b4(uint16(300 + worker)), BR: br1,
	}
	for i := range rounds {
		op := addition(sw)
		if i%2 == 1 || i == rounds-1 {
			op = removal(sw.Key())
		}
		results, err := dp.Apply(ctx, []dataplane.Op{op})
		if err != nil {
			return fmt.Errorf("worker %d: Apply: %w", worker, err)
		}
		if len(results) != 1 || results[0].Outcome != dataplane.Programmed {
			return fmt.Errorf("worker %d: %s %s: %v", worker, op.Kind, sw, results)
		}
	}
	return nil
}

// observe reads everything that can be read.
func observe(ctx context.Context, dp dataplane.Dataplane, rounds int) error {
	for range rounds {
		if _, err := dp.Counters(ctx); err != nil {
			return fmt.Errorf("reading totals: %w", err)
		}
		for _, err := range dp.SoftwireCounters(ctx) {
			if err != nil {
				return fmt.Errorf("reading rows: %w", err)
			}
		}
		for _, err := range dp.Softwires(ctx) {
			if err != nil {
				return fmt.Errorf("reading softwires: %w", err)
			}
		}
		if _, err := dp.WaitHealth(ctx, dataplane.Health{}); err != nil {
			return fmt.Errorf("reading health: %w", err)
		}
	}
	return nil
}
