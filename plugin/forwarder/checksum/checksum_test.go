package checksum_test

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// reference adds one 16-bit word after the other, as RFC 1071 section 1 says.
func reference(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < len(b) {
			word |= uint32(b[i+1])
		}
		sum += word
		if sum > 0xffff {
			sum -= 0xffff
		}
	}
	return ^uint16(sum)
}

func TestKnown(t *testing.T) {
	tests := []struct {
		name, bytes string
		want        uint16
	}{
		{"empty", "", 0xffff},
		{"RFC 1071 section 3", "0001f203f4f5f6f7", 0x220d},
		{"odd length", "0001f2", ^uint16(0xf201)},
		{"all ones", "ffffffffffffffffffffffffffffffff", 0},
		{"carries out of every word", "ffffffffffffffff0000000000000001", 0xfffe},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, err := hex.DecodeString(test.bytes)
			if err != nil {
				t.Fatal(err)
			}
			if got := checksum.Of(b); got != test.want {
				t.Errorf("Of(%s) = %#04x, want %#04x", test.bytes, got, test.want)
			}
		})
	}
}

func TestAgainstReference(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 20000 {
		b := make([]byte, rng.IntN(80))
		fill := rng.IntN(3)
		for i := range b {
			switch fill {
			case 0:
				b[i] = 0xff
			default:
				b[i] = byte(rng.Uint32())
			}
		}
		// Both zeros stand for the same sum; only a block of zeros yields
		// 0xffff, and both must agree on that too.
		if got, want := checksum.Of(b), reference(b); got != want {
			t.Fatalf("Of(%x) = %#04x, reference says %#04x", b, got, want)
		}
	}
}

func TestStoredChecksumVerifies(t *testing.T) {
	header, err := hex.DecodeString("450000730000400040110000c0a80001c0a800c7")
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint16(header[10:], checksum.Of(header))
	if header[10] != 0xb8 || header[11] != 0x61 {
		t.Errorf("checksum field is %x, want b861", header[10:12])
	}
	if got := checksum.Of(header); got != 0 {
		t.Errorf("a right header sums to %#04x, want 0", got)
	}
}

func TestIPv6AgainstReference(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 5000 {
		var src, dst [16]byte
		proto := byte(rng.Uint32())
		for i := range src {
			src[i], dst[i] = byte(rng.Uint32()), byte(rng.Uint32())
		}
		b := make([]byte, rng.IntN(200))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		// RFC 8200 section 8.1: the pseudo-header.
		pseudo := append(src[:], dst[:]...)
		pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(b)))
		pseudo = append(pseudo, 0, 0, 0, proto)
		if got, want := checksum.IPv6(&src, &dst, proto, b), reference(append(pseudo, b...)); got != want {
			t.Fatalf("IPv6(%x, %x, %d, %x) = %#04x, reference says %#04x", src, dst, proto, b, got, want)
		}
	}
}

// An adjusted checksum is the one computed anew.
func TestAdjust(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	extremes := []uint16{0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff}
	for range 20000 {
		b := make([]byte, 8)
		b[0] = 0x45 // a block of zeros alone has two checksums
		for i := 4; i < len(b); i++ {
			b[i] = byte(rng.Uint32())
		}
		old, updated := uint16(rng.Uint32()), extremes[rng.IntN(len(extremes))]
		if rng.IntN(2) == 0 {
			old, updated = updated, old
		}
		binary.BigEndian.PutUint16(b[6:], old)
		binary.BigEndian.PutUint16(b[2:], reference(b))
		checksum.Adjust(b[2:], old, updated)
		got := binary.BigEndian.Uint16(b[2:])
		binary.BigEndian.PutUint16(b[6:], updated)
		binary.BigEndian.PutUint16(b[2:], 0)
		if want := reference(b); got != want {
			t.Fatalf("%#04x to %#04x in %x: adjusted to %#04x, want %#04x", old, updated, b, got, want)
		}
	}
}

func TestHeader(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 10_000 {
		var b [20]byte
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		if got, want := checksum.Header(&b), reference(b[:]); got != want {
			t.Fatalf("%x: %#04x, want %#04x", b, got, want)
		}
	}
}
