package reassembly_test

import (
	"encoding/binary"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/forwarder/reassembly"
)

func TestNoAllocation(t *testing.T) {
	for _, f := range families() {
		t.Run(f.name, func(t *testing.T) {
			table := newTable(t, reassembly.DefaultConfig())
			flow := flow{src: 1, dst: 2, proto: udp}
			p := cut(data(4000, 0), 1480, 2960)
			packets := [][]byte{f.fragment(flow, p[2]), f.fragment(flow, p[0]), f.fragment(flow, p[1]),
				f.fragment(flow, part{at: 80, more: true, data: data(80, 0)}),  // held
				f.fragment(flow, part{at: 120, more: true, data: data(80, 0)}), // overlaps it
			}
			into := &ring{}
			now, wholes, dropped := start, 0, 0
			feed := func(b []byte) {
				var r reassembly.Result
				switch f.name {
				case "IPv6":
					r = table.IPv6(now, b, into)
				case "IPv4":
					r = table.IPv4(now, b, into)
				default:
					r = table.SoftwireIPv4(now, b4, b, into)
				}
				if r.Packet != nil {
					wholes++
				}
				dropped += len(r.Drops)
			}
			id := uint16(0)
			perRun := testing.AllocsPerRun(2000, func() {
				now = now.Add(1e6) // 1 ms
				id++
				for i, b := range packets {
					if i == 3 {
						id++
					}
					at := 4
					if f.name == "IPv6" {
						at = 46
					}
					binary.BigEndian.PutUint16(b[at:], id)
					feed(b)
				}
			})
			if perRun != 0 {
				t.Errorf("%v allocations per run", perRun)
			}
			if wholes != 2001 || dropped < 2001 {
				t.Errorf("%d packets whole, %d drops", wholes, dropped)
			}
		})
	}
}

// BenchmarkTwoFragments makes whole packets of two fragments, each packet with
// another key, in a table that is otherwise empty.
func BenchmarkTwoFragments(b *testing.B) {
	for _, f := range families() {
		b.Run(f.name, func(b *testing.B) {
			benchmarkPairs(b, f, newTable(b, reassembly.DefaultConfig()))
		})
	}
	b.Run("IPv4 in a full table", func(b *testing.B) {
		table := newTable(b, reassembly.DefaultConfig())
		flood := newFlood(newRand(b))
		for range 30_000 {
			table.IPv4(start, flood.next(), arena{})
		}
		benchmarkPairs(b, families()[1], table)
	})
}

func benchmarkPairs(b *testing.B, f family, table *reassembly.Table) {
	flow := flow{src: 1, dst: 2, proto: udp}
	p := cut(data(1500, 0), 1232)
	packets := [][]byte{f.fragment(flow, p[0]), f.fragment(flow, p[1])}
	at := 4
	if f.name == "IPv6" {
		at = 46
	}
	into := &ring{}
	b.SetBytes(1500)
	b.ReportAllocs()
	for id := uint16(0); b.Loop(); id++ {
		var r reassembly.Result
		for _, packet := range packets {
			binary.BigEndian.PutUint16(packet[at:], id)
			switch f.name {
			case "IPv6":
				r = table.IPv6(start, packet, into)
			case "IPv4":
				r = table.IPv4(start, packet, into)
			default:
				r = table.SoftwireIPv4(start, b4, packet, into)
			}
		}
		if r.Packet == nil {
			b.Fatal(drops(r.Drops))
		}
	}
}

// BenchmarkFlood is the cost of a fragment that displaces another.
func BenchmarkFlood(b *testing.B) {
	table := newTable(b, reassembly.DefaultConfig())
	flood := newFlood(newRand(b))
	packets := make([][]byte, 1<<15)
	for i := range packets {
		packets[i] = append([]byte(nil), flood.next()...)
		table.IPv4(start, packets[i], arena{})
	}
	into := &ring{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		table.IPv4(start, packets[i&(1<<15-1)], into)
	}
}
