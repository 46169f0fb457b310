package softwire

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func BenchmarkLookup1M(b *testing.B) {
	for _, sh := range shapes {
		b.Run(sh.name, func(b *testing.B) {
			s := load(b, sh).Snapshot()
			rng := rand.New(rand.NewPCG(1, 2))
			type packet struct {
				ip   [4]byte
				port uint16
			}
			packets := make([]packet, 1<<16)
			for i := range packets {
				packets[i] = packet{sh.ipv4(rng.IntN(sh.addresses)).As4(), uint16(rng.IntN(65536-1024) + 1024)}
			}
			b.ReportAllocs()
			b.ResetTimer()
			i := 0
			sum := byte(0)
			for b.Loop() {
				p := &packets[i&(1<<16-1)]
				m, ok := s.Lookup(p.ip, p.port)
				if !ok {
					b.Fatal("missed")
				}
				sum += m.B4[15]
				i++
			}
		})
	}
}

func BenchmarkLoad1M(b *testing.B) {
	for _, sh := range shapes {
		b.Run(sh.name, func(b *testing.B) {
			for b.Loop() {
				load(b, sh)
			}
		})
	}
}

// BenchmarkApplySmallBatch gives softwires all over a full table to other
// subscribers, some at a time.
func BenchmarkApplySmallBatch(b *testing.B) {
	for _, sh := range shapes {
		table, all := load(b, sh), slices.Collect(sh.all(b))
		for _, size := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", sh.name, size), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 2))
				c := Change{Put: make([]Softwire, size)}
				b.ReportAllocs()
				for b.Loop() {
					first := rng.IntN(len(all))
					for i := range c.Put {
						s := all[(first+i*15485863)%len(all)] // a prime apart, so no two are equal
						s.B4 = subscriber(rng.IntN(1 << 22))
						c.Put[i] = s
					}
					if err := table.Apply(c); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "softwires/s")
			})
		}
	}
}

// BenchmarkLookupAll1M looks up 32 packets at a time.
func BenchmarkLookupAll1M(b *testing.B) {
	for _, sh := range shapes {
		b.Run(sh.name, func(b *testing.B) {
			s := load(b, sh).Snapshot()
			rng := rand.New(rand.NewPCG(1, 2))
			packets := make([]Probe, 1<<16)
			for i := range packets {
				packets[i] = Probe{IP: sh.ipv4(rng.IntN(sh.addresses)).As4(), Port: uint16(rng.IntN(65536-1024) + 1024)}
			}
			var probes [32]Probe
			b.ReportAllocs()
			b.ResetTimer()
			i, sum := 0, byte(0)
			for b.Loop() {
				if i%len(probes) == 0 {
					copy(probes[:], packets[i%len(packets):])
					s.LookupAll(probes[:])
				}
				p := &probes[i%len(probes)]
				m, ok := s.Lookup(p.IP, p.Port)
				if !ok {
					b.Fatal("missed")
				}
				sum += m.B4[15]
				i++
			}
		})
	}
}
