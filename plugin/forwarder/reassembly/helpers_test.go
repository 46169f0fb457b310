package reassembly_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/forwarder/reassembly"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// arena is fresh memory for each packet, filled so that octets which are left
// unwritten show.
type arena struct{}

func (arena) Alloc(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xa5
	}
	return b
}

// roomy are limits that no test reaches by accident.
func roomy() reassembly.Config {
	return reassembly.Config{
		MaxContexts:           1000,
		MaxFragmentsPerPacket: 10000,
		MaxBytes:              8 << 20,
		Timeout:               time.Second,
	}
}

func newTable(t testing.TB, config reassembly.Config) *reassembly.Table {
	t.Helper()
	table, err := reassembly.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func newRand(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 2))
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// part is one fragment of a packet in the making.
type part struct {
	at   int // octets, must be a multiple of 8
	more bool
	data []byte
	ecn  uint8
}

// flow is what a packet's fragments have in common.
type flow struct {
	src, dst byte // last octets of the addresses
	id       uint32
	proto    uint8  // upper-layer protocol
	options  []byte // IPv4 options, IPv6 extension headers before the Fragment header
	outer    uint8  // IPv6: kind of the first of those
}

// fragment4 is an IPv4 fragment; one that is all of a packet has at 0 and no
// more.
func (f flow) fragment4(p part) []byte {
	header := 20 + len(f.options)
	b := make([]byte, header, header+len(p.data))
	b[0] = 4<<4 | byte(header/4)
	b[1] = 0x48 | p.ecn
	binary.BigEndian.PutUint16(b[2:], uint16(header+len(p.data)))
	binary.BigEndian.PutUint16(b[4:], uint16(f.id))
	word := uint16(p.at / 8)
	if p.more {
		word |= 0x2000
	}
	binary.BigEndian.PutUint16(b[6:], word)
	b[8] = 61
	b[9] = f.proto
	copy(b[12:], []byte{192, 0, 2, f.src})
	copy(b[16:], []byte{198, 51, 100, f.dst})
	copy(b[20:], f.options)
	binary.BigEndian.PutUint16(b[10:], ^sum16(b))
	return append(b, p.data...)
}

// whole4 is the IPv4 packet that fragments with data add up to.
func (f flow) whole4(data []byte, ecn uint8) []byte {
	return f.fragment4(part{data: data, ecn: ecn})
}

// fragment6 is an IPv6 fragment packet.
func (f flow) fragment6(p part) []byte {
	word := uint16(p.at)
	if p.more {
		word |= 1
	}
	header := []byte{f.proto, 0, 0, 0}
	binary.BigEndian.PutUint16(header[2:], word)
	header = binary.BigEndian.AppendUint32(header, f.id)
	return f.packet6(44, append(header, p.data...), p.ecn)
}

// whole6 is the IPv6 packet that fragments with data add up to.
func (f flow) whole6(data []byte, ecn uint8) []byte {
	return f.packet6(f.proto, data, ecn)
}

// packet6 is an IPv6 packet with f.options before a header of kind next.
func (f flow) packet6(next uint8, rest []byte, ecn uint8) []byte {
	b := make([]byte, 40, 40+len(f.options)+len(rest))
	binary.BigEndian.PutUint32(b, 6<<28|(0x48|uint32(ecn))<<20|0xabcde)
	binary.BigEndian.PutUint16(b[4:], uint16(len(f.options)+len(rest)))
	b[6] = next
	b[7] = 60
	copy(b[8:], []byte{0x20, 0x01, 0x0d, 0xb8, 1, 15: f.src})
	copy(b[24:], []byte{0x20, 0x01, 0x0d, 0xb8, 2, 15: f.dst})
	if len(f.options) > 0 {
		b[6] = f.outer
		last := 40
		for at := 40 + int(f.options[1])*8 + 8; at < 40+len(f.options); {
			last, at = at, at+int(f.options[at-40+1])*8+8
		}
		b = append(b, f.options...)
		b[last] = next
	}
	return append(b, rest...)
}

// sum16 is the ones' complement sum, added word by word.
func sum16(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// family is one of the ways into a Table, so that a test can take them all.
type family struct {
	name     string
	fragment func(flow, part) []byte
	whole    func(flow, []byte, uint8) []byte
	feed     func(*reassembly.Table, time.Time, []byte) reassembly.Result
	headers  int // least octets before the data
}

var b4 = [16]byte{0x20, 0x01, 0x0d, 0xb8, 3, 15: 1}

func families() []family {
	return []family{
		{"IPv6", flow.fragment6, flow.whole6,
			func(t *reassembly.Table, now time.Time, b []byte) reassembly.Result { return t.IPv6(now, b, arena{}) }, 48},
		{"IPv4", flow.fragment4, flow.whole4,
			func(t *reassembly.Table, now time.Time, b []byte) reassembly.Result { return t.IPv4(now, b, arena{}) }, 20},
		{"softwire IPv4", flow.fragment4, flow.whole4,
			func(t *reassembly.Table, now time.Time, b []byte) reassembly.Result {
				return t.SoftwireIPv4(now, b4, b, arena{})
			}, 20},
	}
}
