package conformance

import (
	"fmt"
	"net/netip"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// carries requires that sw forwards both ways.
func (l *lab) carries(sw softwire.Softwire) {
	l.Helper()
	in, out := udp4(web, at(sw), text(40)), udp4(at(sw), web, text(40))
	l.forwards(dataplane.SideIPv4, in.bytes(), encapsulated(in, sw, oneHop))
	l.forwards(dataplane.SideIPv6, fromB4(sw, out), decapsulated(out, oneHop))
}

// carriesNothing requires that nothing is forwarded to sw's ports, nor from its
// lwB4.
func (l *lab) carriesNothing(sw softwire.Softwire) {
	l.Helper()
	l.drops(dataplane.SideIPv4, udp4(web, at(sw), text(40)).bytes())
	l.refusesLwB4(sw)
}

func (l *lab) refusesLwB4(sw softwire.Softwire) {
	l.Helper()
	l.drops(dataplane.SideIPv6, fromB4(sw, udp4(at(sw), web, text(40))))
}

// programCases: what Apply does is in force when it returns.
func programCases() []testCase {
	return []testCase{
		{name: "program/remove-takes-effect-at-once", required: true, run: func(l *lab) {
			l.put(alice(), bob(), carol())
			for _, sw := range []softwire.Softwire{alice(), carol()} {
				l.carries(sw)
				l.remove(sw)
				l.carriesNothing(sw)
			}
			l.carries(bob())
		}},
		{name: "program/put-after-remove", run: func(l *lab) {
			for range 3 {
				l.put(alice())
				l.carries(alice())
				l.remove(alice())
			}
			l.carriesNothing(alice())
		}},
		{name: "program/idempotent", run: func(l *lab) {
			l.remove(alice(), alice())
			l.put(alice(), alice())
			l.put(alice())
			l.carries(alice())
			l.holds(alice())
			l.remove(alice())
			l.remove(alice())
			l.carriesNothing(alice())
			l.holds()
		}},
		{name: "program/nothing", run: func(l *lab) {
			l.program()
			l.holds()
		}},
		{name: "program/read-back", run: func(l *lab) {
			moved := carol()
			moved.B4 = b4(60)
			want := []softwire.Softwire{alice(), bob(), moved}
			for _, e := range edges() {
				sw := e.softwire()
				sw.IPv4 = netip.AddrFrom4([4]byte{192, 0, 2, 100 + e.k})
				if e.a > 0 {
					sw.IPv4 = netip.AddrFrom4([4]byte{192, 0, 2, 120 + e.a})
				}
				want = append(want, sw)
			}
			l.put(carol())
			l.put(want...)
			l.holds(want...)
			l.remove(want[0])
			l.holds(want[1:]...)
		}},
		{name: "program/thousands", run: func(l *lab) {
			want := thousands()
			for rest := want; len(rest) > 0; {
				n := min(500, len(rest))
				l.put(rest[:n]...)
				rest = rest[n:]
			}
			l.holds(want...)
			for i := 0; i < len(want); i += 251 {
				l.carries(want[i])
			}
			l.remove(want...)
			l.holds()
			l.carriesNothing(want[len(want)/2])
		}},
		{name: "program/configure-again", run: func(l *lab) {
			l.put(alice(), carol())
			ctx, cancel := l.patiently()
			defer cancel()
			wider := network()
			wider.Pools = append(wider.Pools, netip.MustParsePrefix("100.64.0.0/16"))
			wider.BRs = append(wider.BRs, netip.MustParseAddr("2001:db8:ffff::3"))
			for i, n := range []dataplane.Network{network(), wider, network()} {
				if err := l.dp.Configure(ctx, n); err != nil {
					l.Fatalf("Configure %d: %v", i, err)
				}
				l.carries(alice())
				l.carries(carol())
			}
			l.holds(alice(), carol())
		}},
		{name: "program/new-network-serves", run: func(l *lab) {
			ctx, cancel := l.patiently()
			defer cancel()
			wider := network()
			wider.Pools = append(wider.Pools, netip.MustParsePrefix("100.64.0.0/16"))
			wider.BRs = append(wider.BRs, netip.MustParseAddr("2001:db8:ffff::3"))
			if err := l.dp.Configure(ctx, wider); err != nil {
				l.Fatalf("Configure: %v", err)
			}
			sw := softwire.Softwire{IPv4: netip.MustParseAddr("100.64.3.4"), PortSet: set(0, 4, 3), B4: b4(8), BR: wider.BRs[2]}
			l.put(sw)
			l.carries(sw)
			l.remove(sw)
		}},
	}
}

// thousands of softwires: 64 addresses, 32 port sets each.
func thousands() []softwire.Softwire {
	var all []softwire.Softwire
	for i := range 64 {
		for psid := range uint16(32) {
			all = append(all, softwire.Softwire{
				IPv4:    netip.AddrFrom4([4]byte{203, 0, 113, byte(100 + i)}),
				PortSet: set(0, 5, psid),
				B4:      b4(1000 + uint16(i)*32 + psid),
				BR:      []netip.Addr{br1, br2}[i%2],
			})
		}
	}
	return all
}

// replaceCases: a Put replaces the softwire of its key.
func replaceCases() []testCase {
	return []testCase{
		{
			name: "replace/lwb4-moved", required: true, mayDetect: []Check{OuterSource},
			run: func(l *lab) {
				for _, sw := range []softwire.Softwire{alice(), carol()} {
					l.put(sw)
					l.carries(sw)
					moved := sw
					moved.B4 = b4(61)
					l.put(moved)
					l.refusesLwB4(sw)
					l.carries(moved)
					l.remove(moved)
				}
			},
		},
		{name: "replace/lwb4-moved-others-stay", run: func(l *lab) {
			second := alice()
			second.PortSet = set(0, 6, 40)
			l.put(alice(), second, bob())
			moved := alice()
			moved.B4 = b4(61)
			l.put(moved)
			l.carries(second)
			l.carries(bob())
			l.carries(moved)
		}},
		{
			name: "replace/br-address-moved", mayDetect: []Check{OuterDestination},
			run: func(l *lab) {
				l.put(carol())
				moved := carol()
				moved.BR = br1
				l.put(moved)
				l.refusesLwB4(carol())
				l.carries(moved)
			},
		},
		{name: "replace/swap", run: func(l *lab) {
			l.put(alice(), bob())
			a, b := alice(), bob()
			a.B4, b.B4 = b.B4, a.B4
			l.put(a, b)
			l.carries(a)
			l.carries(b)
			l.holds(a, b)
		}},
	}
}

// batchCases: ops of a batch stand each for itself, in order.
func batchCases() []testCase {
	return []testCase{
		{name: "batch/impossible-among-good", run: func(l *lab) {
			bad := carol()
			bad.BR = netip.Addr{}
			results := l.apply(addition(alice()), addition(bad), addition(bob()))
			l.outcomes(results, dataplane.Programmed, dataplane.Unsupported, dataplane.Programmed)
			l.carries(alice())
			l.carries(bob())
			l.holds(alice(), bob())
		}},
		{name: "batch/overlap-refused", required: true, run: func(l *lab) {
			// The half of the address that alice's set is in.
			wide := softwire.Softwire{IPv4: ipA, PortSet: set(0, 1, 0), B4: b4(70), BR: br1}
			l.put(alice())
			results := l.apply(addition(bob()), addition(wide))
			if results[0].Outcome != dataplane.Programmed || results[1].Outcome == dataplane.Programmed {
				l.Errorf("outcomes %s, %s: bob is possible, an overlapping set is not", results[0].Outcome, results[1].Outcome)
			}
			l.carries(alice())
			l.carries(bob())
			l.refusesLwB4(wide)
			l.holds(alice(), bob())
		}},
		{name: "batch/in-order", mayDetect: []Check{OuterSource}, run: func(l *lab) {
			// Other parameters on one address: possible once the first are gone.
			wide := softwire.Softwire{IPv4: ipA, PortSet: set(0, 1, 0), B4: b4(70), BR: br1}
			l.put(alice())
			l.program(removal(alice().Key()), addition(wide))
			l.carries(wide)
			l.refusesLwB4(alice())
			l.program(addition(carol()), removal(carol().Key()))
			l.holds(wide)
		}},
		{name: "batch/several-br-addresses-on-one-address", run: func(l *lab) {
			other := bob()
			other.BR = br2
			l.put(alice(), other)
			l.carries(alice())
			l.carries(other)
		}},
	}
}

func (l *lab) outcomes(got []dataplane.Result, want ...dataplane.Outcome) {
	l.Helper()
	var outcomes []dataplane.Outcome
	for _, r := range got {
		outcomes = append(outcomes, r.Outcome)
	}
	if fmt.Sprint(outcomes) != fmt.Sprint(want) {
		l.Errorf("outcomes %v, want %v", outcomes, want)
	}
}
