package softwire

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
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

func BenchmarkApplySmallBatch(b *testing.B) {
	for _, sh := range shapes {
		for _, size := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", sh.name, size), func(b *testing.B) {
				table := load(b, sh)
				rng := rand.New(rand.NewPCG(1, 2))
				p, _ := portset.NewParams(0, sh.length)
				b.ReportAllocs()
				b.ResetTimer()
				for b.Loop() {
					var c Change
					for range size {
						k := Key{sh.ipv4(rng.IntN(sh.addresses)), setOf(p, uint16(rng.IntN(p.Sets())))}
						if rng.IntN(2) == 0 {
							c.Remove = append(c.Remove, k)
							continue
						}
						c.Put = append(c.Put, Softwire{k.IPv4, k.PortSet, subscriber(rng.IntN(1 << 21)), someBR})
					}
					if err := table.Apply(c); err != nil && len(c.Put) == 1 {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkWarmLookup1M looks up 32 packets at a time, with Warm before.
func BenchmarkWarmLookup1M(b *testing.B) {
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
					s.Warm(probes[:])
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
