package reassembly_test

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/plugin/forwarder/reassembly"
)

// ring hands out one block over and over, like the arena of a worker.
type ring struct{ block [128 << 10]byte }

func (r *ring) Alloc(n int) []byte { return r.block[:n] }

// flood is fragments that never become packets. Its packets are made in place,
// so that the test allocates nothing while it measures.
type flood struct {
	rng    *rand.Rand
	packet []byte
	// Which fields are random, the last octets of the addresses otherwise 66.
	sources, destinations bool
}

func newFlood(rng *rand.Rand) *flood {
	f := flow{src: 66, dst: 66, proto: udp}
	return &flood{rng: rng, packet: f.fragment4(part{more: true, data: data(1480, 0)}), sources: true, destinations: true}
}

// next is a fragment of random identification, offset and size.
func (f *flood) next() []byte {
	b := f.packet
	size := 8 * (1 + f.rng.IntN(2))
	if f.rng.IntN(4) == 0 {
		size = 1480
	}
	b = b[:20+size]
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[4:], uint16(f.rng.Uint32()))
	binary.BigEndian.PutUint16(b[6:], 0x2000|uint16(f.rng.IntN(4)*f.rng.IntN(2000)))
	if f.sources {
		binary.BigEndian.PutUint32(b[12:], f.rng.Uint32()|1<<24)
	}
	if f.destinations {
		b[19] = byte(f.rng.Uint32())
	}
	binary.BigEndian.PutUint16(b[10:], 0)
	binary.BigEndian.PutUint16(b[10:], checksum.Of(b[:20]))
	return b
}

func TestFlood(t *testing.T) {
	config := reassembly.DefaultConfig()
	tests := []struct {
		name    string
		edit    func(*flood)
		between int // fragments of the flood between two of a legitimate packet
		want    reassembly.Cause
	}{
		// At a million a second, 15 ms pass between a packet's fragments.
		{"from everywhere to everywhere", func(*flood) {}, 15_000, reassembly.TableFull},
		// Of these, no amount does harm.
		{"from one source", func(f *flood) { f.sources = false }, 25_000, reassembly.SourceLimit},
		{"to one destination", func(f *flood) { f.destinations = false }, 25_000, reassembly.DestinationLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rng := newRand(t)
			table := newTable(t, config)
			flood := newFlood(rng)
			test.edit(flood)
			now := start
			counts := make([]int, reassembly.CauseCount)
			into := &ring{}
			feed := func(packet []byte) []byte {
				now = now.Add(time.Microsecond)
				r := table.IPv4(now, packet, into)
				for _, d := range r.Drops {
					counts[d.Cause] += d.Fragments
				}
				return r.Packet
			}
			for range 3 * config.MaxContexts { // warm up
				feed(flood.next())
			}
			legitimate := make([][][]byte, 5)
			for i := range legitimate {
				f := flow{src: 1, dst: 2, id: uint32(i), proto: udp}
				for _, p := range cut(data(4000, byte(i)), 1480, 2960) {
					legitimate[i] = append(legitimate[i], f.fragment4(p))
				}
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			wholes, most := 0, reassembly.Usage{}
			for _, packets := range legitimate {
				for _, packet := range packets {
					if feed(packet) != nil {
						wholes++
					}
					for range test.between / 2 {
						feed(flood.next())
					}
					u := table.Usage()
					most.Contexts, most.Bytes = max(most.Contexts, u.Contexts), max(most.Bytes, u.Bytes)
				}
			}
			runtime.ReadMemStats(&after)
			if wholes != len(legitimate) {
				t.Errorf("%d of %d legitimate packets became whole", wholes, len(legitimate))
			}
			if counts[test.want] == 0 {
				t.Errorf("nothing was given up for %v: %v", test.want, counts)
			}
			if most.Contexts > config.MaxContexts || most.Bytes > config.MaxBytes {
				t.Errorf("%+v in use, limits %+v", most, config)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<10 {
				t.Errorf("%d octets allocated under the flood", grown)
			}
			if err := table.Check(); err != nil {
				t.Error(err)
			}
			t.Logf("most in use %+v; dropped by cause %v", most, counts)
		})
	}
}

// A flood of full-size fragments exhausts the memory before the contexts.
func TestFloodOfMemory(t *testing.T) {
	config := reassembly.DefaultConfig()
	config.MaxBytes = 4 << 20
	rng := newRand(t)
	table := newTable(t, config)
	f := flow{proto: udp}
	big := part{at: 800, more: true, data: data(60000, 0)}
	d := data(4000, 1)
	legitimate := flow{src: 1, dst: 2, id: 9, proto: udp}
	given := 0
	for i, p := range cut(d, 1480, 2960) {
		r := table.IPv6(start, legitimate.fragment6(p), arena{})
		if (r.Packet != nil) != (i == 2) {
			t.Fatalf("fragment %d: whole %v", i, r.Packet != nil)
		}
		for range 30 {
			f.src, f.id = byte(rng.IntN(200)+10), rng.Uint32()
			for _, d := range table.IPv6(start, f.fragment6(big), arena{}).Drops {
				if d.Cause != reassembly.NoMemory {
					t.Fatalf("given up for %v", d.Cause)
				}
				given++
			}
			if u := table.Usage(); u.Bytes > config.MaxBytes {
				t.Fatalf("%+v in use, limits %+v", u, config)
			}
		}
	}
	if given == 0 {
		t.Error("the memory was never full")
	}
	if err := table.Check(); err != nil {
		t.Error(err)
	}
}
