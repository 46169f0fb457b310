package conformance

import (
	"maps"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// traffic sums packets measured as the contract says: without tunnel header.
func traffic(packets ...packet4) dataplane.Traffic {
	var sum dataplane.Traffic
	for _, p := range packets {
		sum.Packets++
		sum.Bytes += uint64(len(p.bytes()))
	}
	return sum
}

func plus(a, b dataplane.Traffic) dataplane.Traffic {
	return dataplane.Traffic{Packets: a.Packets + b.Packets, Bytes: a.Bytes + b.Bytes}
}

func minus(a, b dataplane.Traffic) dataplane.Traffic {
	return dataplane.Traffic{Packets: a.Packets - b.Packets, Bytes: a.Bytes - b.Bytes}
}

// counting runs traffic and requires that the totals grow by exactly want, and
// the markers that went along.
func (l *lab) counting(want dataplane.Counters, run func()) {
	l.Helper()
	before, marked := l.counters(), l.markers
	run()
	markers := minus(l.markers, marked)
	want.Encapsulated = plus(want.Encapsulated, markers)
	want.Decapsulated = plus(want.Decapsulated, markers)
	var got [3]dataplane.Traffic
	if !l.eventually(func() bool {
		now := l.counters()
		got = [3]dataplane.Traffic{
			minus(now.Encapsulated, before.Encapsulated),
			minus(now.Decapsulated, before.Decapsulated),
			minus(now.Hairpinned, before.Hairpinned),
		}
		return got == [3]dataplane.Traffic{want.Encapsulated, want.Decapsulated, want.Hairpinned}
	}) {
		l.Errorf("encapsulated, decapsulated, hairpinned grew by %+v, want %+v %+v %+v",
			got, want.Encapsulated, want.Decapsulated, want.Hairpinned)
	}
}

// counterCases: counters say what happened.
func counterCases() []testCase {
	return []testCase{
		{name: "counters/totals", run: func(l *lab) {
			l.put(alice(), carol())
			in := []packet4{udp4(web, at(alice()), text(100)), tcp4(web, at(carol()), text(301)), udp4(web, at(alice()), nil)}
			l.counting(dataplane.Counters{Encapsulated: traffic(in...)}, func() {
				l.forwards(dataplane.SideIPv4, in[0].bytes(), encapsulated(in[0], alice(), oneHop))
				l.forwards(dataplane.SideIPv4, in[1].bytes(), encapsulated(in[1], carol(), oneHop))
				l.forwards(dataplane.SideIPv4, in[2].bytes(), encapsulated(in[2], alice(), oneHop))
			})
			out := []packet4{udp4(at(alice()), web, text(100)), tcp4(at(carol()), web, text(301))}
			l.counting(dataplane.Counters{Decapsulated: traffic(out...)}, func() {
				l.forwards(dataplane.SideIPv6, fromB4(alice(), out[0]), decapsulated(out[0], oneHop))
				l.forwards(dataplane.SideIPv6, fromB4(carol(), out[1]), decapsulated(out[1], oneHop))
			})
		}},
		{name: "counters/hairpin-is-neither", run: func(l *lab) {
			l.put(alice(), carol())
			p := udp4(at(alice()), at(carol()), text(100))
			l.counting(dataplane.Counters{Hairpinned: traffic(p)}, func() {
				l.forwards(dataplane.SideIPv6, fromB4(alice(), p), hairpinned(p, carol()))
			})
		}},
		{name: "counters/dropped-is-not-forwarded", run: func(l *lab) {
			l.put(alice())
			l.counting(dataplane.Counters{}, func() {
				l.drops(dataplane.SideIPv4, udp4(web, at(carol()), text(100)).bytes())
				l.drops(dataplane.SideIPv6, fromB4(alice(), udp4(at(carol()), web, text(100))))
			})
		}},
		{name: "counters/rows", run: countersOfRows},
		{name: "counters/events-named-once", run: func(l *lab) {
			l.drops(dataplane.SideIPv4, udp4(web, at(alice()), text(100)).bytes())
			seen := make(map[string]bool)
			for _, e := range l.counters().Events {
				if e.Name == "" || seen[e.Name] {
					l.Errorf("event %q is named badly or twice", e.Name)
				}
				seen[e.Name] = true
			}
		}},
	}
}

// countersOfRows requires rows of the granularity that Counters states.
func countersOfRows(l *lab) {
	l.put(alice(), bob(), carol())
	type moved struct{ to, from dataplane.Traffic }
	want := make(map[softwire.Key]moved)
	granularity := l.counters().Granularity
	account := func(sw softwire.Softwire, in, out dataplane.Traffic) {
		key := sw.Key()
		switch granularity {
		case dataplane.PerNothing:
			return
		case dataplane.PerAddress:
			key.PortSet = portset.PortSet{}
		}
		want[key] = moved{plus(want[key].to, in), plus(want[key].from, out)}
	}
	for i, sw := range []softwire.Softwire{alice(), bob(), carol()} {
		for n := range i + 1 {
			in, out := udp4(web, at(sw), text(50+n)), udp4(at(sw), web, text(500+n))
			l.forwards(dataplane.SideIPv4, in.bytes(), encapsulated(in, sw, oneHop))
			l.forwards(dataplane.SideIPv6, fromB4(sw, out), decapsulated(out, oneHop))
			account(sw, traffic(in), traffic(out))
		}
	}
	// A hairpinned packet comes from one softwire and goes to another.
	p := udp4(at(alice()), at(carol()), text(77))
	l.forwards(dataplane.SideIPv6, fromB4(alice(), p), hairpinned(p, carol()))
	account(alice(), dataplane.Traffic{}, traffic(p))
	account(carol(), traffic(p), dataplane.Traffic{})

	var got map[softwire.Key]moved
	if !l.eventually(func() bool {
		got = make(map[softwire.Key]moved)
		for _, row := range l.rows() {
			if row.Key.IPv4 != l.marker.IPv4 && (row.ToB4.Packets > 0 || row.FromB4.Packets > 0) {
				got[row.Key] = moved{row.ToB4, row.FromB4}
			}
		}
		return maps.Equal(got, want)
	}) {
		l.Errorf("rows (granularity %s):\ngot  %v\nwant %v", granularity, got, want)
	}
}

func (l *lab) rows() []dataplane.SoftwireCounters {
	l.Helper()
	ctx, cancel := l.patiently()
	defer cancel()
	var rows []dataplane.SoftwireCounters
	for row, err := range l.dp.SoftwireCounters(ctx) {
		if err != nil {
			l.Fatalf("SoftwireCounters: %v", err)
		}
		rows = append(rows, row)
	}
	return rows
}
