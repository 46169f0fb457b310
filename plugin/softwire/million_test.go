package softwire

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// shape is a way to arrange about a million softwires.
type shape struct {
	name      string
	addresses int
	scattered bool // over all of IPv4 instead of one after the other
	length    uint8
	first     int // PSID; lower ones are not bound
	perB4     int // softwires of one lwB4
}

var shapes = []shape{
	{"16384 addresses of 63 sets", 16384, false, 6, 1, 1},
	{"1024 addresses of 1023 sets", 1024, false, 10, 1, 1},
	{"1048576 whole addresses", 1 << 20, false, 0, 0, 1},
	{"1048576 scattered addresses", 1 << 20, true, 0, 0, 1},
	{"four sets to each lwB4", 16384, false, 6, 0, 4},
}

// all yields the softwires of the shape, in order unless it is scattered.
func (sh shape) all(t testing.TB) iter.Seq[Softwire] {
	p, err := portset.NewParams(0, sh.length)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(Softwire) bool) {
		n := 0
		for i := range sh.addresses {
			ip := sh.ipv4(i)
			for psid := sh.first; psid < p.Sets(); psid++ {
				if !yield(Softwire{ip, setOf(p, uint16(psid)), subscriber(n / sh.perB4), someBR}) {
					return
				}
				n++
			}
		}
	}
}

// ipv4 is the i-th address: from 20.0.0.0 on, or over 20.0.0.0 to 83.255.255.255.
func (sh shape) ipv4(i int) netip.Addr {
	ip := uint32(i)
	if sh.scattered {
		ip = ip * 2654435761 >> 2 // odd, so no two are equal before the shift drops bits
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 20<<24+ip)
	return netip.AddrFrom4(b)
}

var someBR = netip.MustParseAddr("2001:db8:ffff::1")

// subscriber is the lwB4 address of the n-th subscriber.
func subscriber(n int) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint32(b[:], 0x20010db8)
	binary.BigEndian.PutUint32(b[4:], uint32(n)<<8)
	b[15] = 1
	return netip.AddrFrom16(b)
}

func load(t testing.TB, sh shape) *Table {
	t.Helper()
	table := NewTable()
	b := &batch{}
	for s := range sh.all(t) {
		if err := b.put(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.sort(); err != nil {
		t.Fatal(err)
	}
	if err := table.apply(b); err != nil {
		t.Fatal(err)
	}
	return table
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestHeapPerSoftwire(t *testing.T) {
	for _, sh := range shapes {
		t.Run(sh.name, func(t *testing.T) {
			before := heap()
			table := load(t, sh)
			perSoftwire := float64(heap()-before) / float64(table.Snapshot().Len())
			t.Logf("%d softwires, %.1f bytes of heap each", table.Snapshot().Len(), perSoftwire)
			runtime.KeepAlive(table)
		})
	}
}

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
