package fragment_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

// arena keeps what it handed out, in order, and runs dry after limit packets.
type arena struct {
	packets [][]byte
	limit   int
}

func (a *arena) Alloc(n int) []byte {
	if a.limit > 0 && len(a.packets) == a.limit {
		return nil
	}
	// Not zeroed, as real buffers are not: whatever is left unwritten shows.
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xa5
	}
	a.packets = append(a.packets, b)
	return b
}

func newRand(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// packet6 is a tunnel packet with the given payload.
func packet6(payload []byte) []byte {
	b := make([]byte, 40, 40+len(payload))
	binary.BigEndian.PutUint32(b, 6<<28|0x12<<20|0xabcde) // traffic class and flow label
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	b[6] = 4
	b[7] = 64
	copy(b[8:], []byte{0x20, 0x01, 0x0d, 0xb8, 1, 15: 1})
	copy(b[24:], []byte{0x20, 0x01, 0x0d, 0xb8, 2, 15: 2})
	return append(b, payload...)
}

// packet4 is an IPv4 packet with the given flags and offset word.
func packet4(word uint16, options, payload []byte) []byte {
	header := 20 + len(options)
	b := make([]byte, header, header+len(payload))
	b[0] = 4<<4 | byte(header/4)
	b[1] = 0x12
	binary.BigEndian.PutUint16(b[2:], uint16(header+len(payload)))
	binary.BigEndian.PutUint16(b[4:], 0x4243)
	binary.BigEndian.PutUint16(b[6:], word)
	b[8] = 63
	b[9] = 17
	copy(b[12:], []byte{192, 0, 2, 1})
	copy(b[16:], []byte{198, 51, 100, 7})
	copy(b[20:], options)
	binary.BigEndian.PutUint16(b[10:], ^sum16(b))
	return append(b, payload...)
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
