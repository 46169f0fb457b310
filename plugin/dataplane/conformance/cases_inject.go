package conformance

import (
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// injects requires that packet, injected on side, comes out of it.
func (l *lab) injects(side dataplane.Side, packet []byte) {
	l.Helper()
	kept := append([]byte(nil), packet...)
	if err := l.inject(side, packet); err != nil {
		l.Fatalf("Inject on the %s side: %v", side, err)
	}
	// The caller keeps packet: what it does with it now is its own business.
	clear(packet)
	// The markers come after what was injected, if not on the way then soon.
	got := make(outputs)
	if !l.eventually(func() bool {
		for s, packets := range l.flush(opposite(side)) {
			got[s] = append(got[s], packets...)
		}
		return len(got[side]) > 0
	}) {
		l.Fatalf("nothing came out of the %s side for %s", side, describe(kept))
	}
	l.matches(kept, got, exactly(side, kept))
}

func (l *lab) inject(side dataplane.Side, packet []byte) error {
	ctx, cancel := l.patiently()
	defer cancel()
	return l.dp.Inject(ctx, side, packet)
}

// injectCases: Inject sends out of a side what the control logic made.
func injectCases() []testCase {
	return []testCase{
		{name: "inject/ipv4", run: func(l *lab) {
			l.put(alice())
			l.injects(dataplane.SideIPv4, udp4(at(alice()), web, text(80)).bytes())
			l.injects(dataplane.SideIPv4, icmp4(ipA, host, unreachable, 4, 1280, text(28)).bytes())
		}},
		{name: "inject/ipv6-plain", run: func(l *lab) {
			to := netip.AddrPortFrom(b4(80), 4321)
			l.injects(dataplane.SideIPv6, udp6(netip.AddrPortFrom(br1, pcpPort), to, text(60)))
		}},
		{name: "inject/ipv6-tunnelled", run: func(l *lab) {
			// A PCP answer, to a lwB4 that has no binding.
			p := udp4(netip.AddrPortFrom(wellKnownAFTR, pcpPort), netip.AddrPortFrom(wellKnownB4, 4321), text(60))
			l.injects(dataplane.SideIPv6, outer{src: br1, dst: b4(80), hops: 64}.around(p.bytes()))
			l.injects(dataplane.SideIPv6, outer{src: br2, dst: b4(80), hops: 64}.around(p.bytes()))
		}},
		{name: "inject/malformed", run: func(l *lab) {
			// An error or nothing, but no packet and no harm.
			l.put(alice())
			v4 := udp4(at(alice()), web, text(80)).bytes()
			v6 := udp6(netip.AddrPortFrom(br1, pcpPort), netip.AddrPortFrom(b4(80), 4321), text(60))
			for _, in := range []struct {
				side   dataplane.Side
				packet []byte
			}{
				{dataplane.SideIPv4, nil}, {dataplane.SideIPv6, nil},
				{dataplane.SideIPv4, v4[:19]}, {dataplane.SideIPv6, v6[:39]},
				{dataplane.SideIPv4, v6}, {dataplane.SideIPv6, v4},
			} {
				if err := l.inject(in.side, in.packet); err != nil {
					l.Logf("Inject of %d bytes on the %s side: %v", len(in.packet), in.side, err)
				}
				l.matches(in.packet, l.flush(in.side))
			}
			l.carries(alice())
		}},
	}
}
