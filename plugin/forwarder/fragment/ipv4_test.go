package fragment_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/forwarder/fragment"
)

const (
	df = 0x4000
	mf = 0x2000
)

// Options of several kinds: source routes and router alert are to be copied,
// record route and timestamps are not.
var (
	routerAlert = []byte{0x94, 4, 0, 0}
	recordRoute = []byte{0x07, 7, 4, 0, 0, 0, 0}
	looseRoute  = []byte{0x83, 7, 4, 203, 0, 113, 9}
	nop         = []byte{1}
	end         = []byte{0}
)

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestIPv4Cuts(t *testing.T) {
	type piece struct {
		total int
		word  uint16
	}
	tests := []struct {
		name    string
		options []byte
		word    uint16
		data    int
		mtu     int
		want    []piece
	}{
		{"992-octet packet at 576", nil, 0, 972, 576, []piece{{572, mf}, {440, 69}}},
		{"last piece uses room that is no multiple of 8", nil, 0, 552 + 556, 576, []piece{{572, mf}, {576, 69}}},
		{"options in the first only", join(recordRoute, nop), 0, 1000, 576,
			[]piece{{572, mf}, {476, 68}}},
		{"copied options in all", routerAlert, 0, 1000, 576, []piece{{576, mf}, {472, 69}}},
		{"a first fragment", nil, mf, 1200, 576, []piece{{572, mf}, {572, mf | 69}, {116, mf | 138}}},
		{"a middle fragment", nil, mf | 100, 1200, 620, []piece{{620, mf | 100}, {620, mf | 175}}},
		{"a last fragment", nil, 100, 1001, 576, []piece{{572, mf | 100}, {469, 169}}},
		{"reserved flag kept", nil, 0x8000, 600, 576, []piece{{572, 0x8000 | mf}, {68, 0x8000 | 69}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			packet := packet4(test.word, test.options, make([]byte, test.data))
			var a arena
			n, err := fragment.IPv4(&a, packet, test.mtu)
			if err != nil || n != len(test.want) || len(a.packets) != n {
				t.Fatalf("IPv4 = %d, %v with %d packets; want %d, nil", n, err, len(a.packets), len(test.want))
			}
			for i, f := range a.packets {
				got := piece{int(binary.BigEndian.Uint16(f[2:])), binary.BigEndian.Uint16(f[6:])}
				if got != test.want[i] {
					t.Errorf("fragment %d is %+v, want %+v", i, got, test.want[i])
				}
			}
			check4(t, packet, a.packets, test.mtu, 0x4243)
		})
	}
}

// check4 puts fragments together again in the most obvious way and compares.
func check4(t *testing.T, packet []byte, fragments [][]byte, mtu int, id uint16) {
	t.Helper()
	header := int(packet[0]&15) * 4
	word := binary.BigEndian.Uint16(packet[6:]) &^ df
	var data []byte
	for i, f := range fragments {
		last := i == len(fragments)-1
		length := int(f[0]&15) * 4
		if len(f) > mtu || int(binary.BigEndian.Uint16(f[2:])) != len(f) {
			t.Fatalf("fragment %d: %d octets, total length %d, MTU %d", i, len(f), binary.BigEndian.Uint16(f[2:]), mtu)
		}
		if !last && len(f)+8 <= mtu {
			t.Fatalf("fragment %d has %d octets, so 8 more would fit MTU %d", i, len(f), mtu)
		}
		if sum16(f[:length]) != 0xffff {
			t.Fatalf("fragment %d has a wrong header checksum", i)
		}
		wantWord := word + uint16(len(data)/8)
		if !last {
			wantWord |= mf
		}
		if got := binary.BigEndian.Uint16(f[6:]); got != wantWord {
			t.Fatalf("fragment %d has flags and offset %#04x, want %#04x", i, got, wantWord)
		}
		if binary.BigEndian.Uint16(f[4:]) != id || f[1] != packet[1] || !bytes.Equal(f[8:10], packet[8:10]) ||
			!bytes.Equal(f[12:20], packet[12:20]) {
			t.Fatalf("fragment %d has header %x of original %x", i, f[:length], packet[:header])
		}
		wantOptions := packet[20:header]
		if i > 0 {
			wantOptions = copied(wantOptions)
		}
		if !bytes.Equal(f[20:length], wantOptions) {
			t.Fatalf("fragment %d has options %x, want %x", i, f[20:length], wantOptions)
		}
		data = append(data, f[length:]...)
	}
	if !bytes.Equal(data, packet[header:]) {
		t.Fatal("the fragments do not add up to the packet")
	}
}

// copied filters options by their copied flag, recursively.
func copied(options []byte) []byte {
	var walk func([]byte) []byte
	walk = func(o []byte) []byte {
		switch {
		case len(o) == 0 || o[0] == 0:
			return nil
		case o[0] == 1:
			return walk(o[1:])
		case o[0] > 127:
			return join(o[:o[1]], walk(o[o[1]:]))
		}
		return walk(o[o[1]:])
	}
	kept := walk(options)
	return join(kept, make([]byte, (4-len(kept)%4)%4))
}

// randomOptions are well-formed and fill a multiple of 4 octets.
func randomOptions(rng *rand.Rand) []byte {
	kinds := [][]byte{routerAlert, recordRoute, looseRoute, nop}
	var options []byte
	for range rng.IntN(7) {
		if next := kinds[rng.IntN(len(kinds))]; len(options)+len(next) <= 40 {
			options = join(options, next)
		}
	}
	for len(options)%4 != 0 {
		options = join(options, end)
	}
	return options
}

func TestIPv4Property(t *testing.T) {
	rng := newRand(t)
	recut := 0
	for range 500 {
		options := randomOptions(rng)
		packet := packet4(uint16(rng.IntN(2))*df, options, randomBytes(rng, 1000+rng.IntN(60000)))
		mtu := 576 + rng.IntN(len(packet)-576)
		id := uint16(rng.Uint32())
		var a arena
		n, err := fragment.IPv4Forced(&a, packet, mtu, id)
		if err != nil || n < 2 || n > fragment.MaxFragments {
			t.Fatalf("%d octets at MTU %d: %d, %v", len(packet), mtu, n, err)
		}
		if packet[6]&(df>>8) == 0 {
			id = 0x4243
		}
		check4(t, packet, a.packets, mtu, id)

		f := a.packets[rng.IntN(n)]
		if len(f) <= 200 {
			continue
		}
		recut++
		smaller := max(68, len(f)/60) + rng.IntN(100)
		var b arena
		switch n, err := fragment.IPv4(&b, f, smaller); {
		case errors.Is(err, fragment.ErrTooMany):
		case err != nil:
			t.Fatalf("fragment of %d octets at MTU %d: %d, %v", len(f), smaller, n, err)
		default:
			check4(t, f, b.packets, smaller, id)
		}
	}
	if recut == 0 {
		t.Fatal("no fragment was cut again")
	}
}

func TestIPv4DontFragment(t *testing.T) {
	tests := []struct {
		name   string
		word   uint16
		wantID uint16
	}{
		{"atomic gets a new identification", df, 7},
		{"a first fragment keeps its own", df | mf, 0x4243},
		{"a last fragment keeps its own", df | 100, 0x4243},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			packet := packet4(test.word, nil, make([]byte, 1000))
			var a arena
			if n, err := fragment.IPv4(&a, packet, 576); n != 0 || !errors.Is(err, fragment.ErrDontFragment) || len(a.packets) != 0 {
				t.Errorf("IPv4 = %d, %v; want 0, %v", n, err, fragment.ErrDontFragment)
			}
			if n, err := fragment.IPv4Forced(&a, packet, 576, 7); n != 2 || err != nil {
				t.Fatalf("IPv4Forced = %d, %v; want 2, nil", n, err)
			}
			check4(t, packet, a.packets, 576, test.wantID)
		})
	}
}

func TestIPv4FitsUncut(t *testing.T) {
	packet := packet4(df, routerAlert, make([]byte, 1000))
	for _, cut := range []func(a fragment.Arena) (int, error){
		func(a fragment.Arena) (int, error) { return fragment.IPv4(a, append(bytes.Clone(packet), 9), 1024) },
		func(a fragment.Arena) (int, error) { return fragment.IPv4Forced(a, packet, 1024, 7) },
	} {
		var a arena
		if n, err := cut(&a); n != 1 || err != nil {
			t.Fatalf("cut = %d, %v; want 1, nil", n, err)
		}
		if !bytes.Equal(a.packets[0], packet) {
			t.Error("a packet that fits must be copied as it is, without trailing octets")
		}
	}
}

func TestIPv4Refuses(t *testing.T) {
	long := make([]byte, 1000)
	edit := func(word uint16, at int, value byte) []byte {
		b := packet4(word, nil, long)
		b[at] = value
		return b
	}
	tests := []struct {
		name   string
		packet []byte
		mtu    int
		want   error
	}{
		{"nothing", nil, 576, fragment.ErrMalformed},
		{"a short header", packet4(0, nil, nil)[:19], 576, fragment.ErrMalformed},
		{"IPv6", packet6(long), 576, fragment.ErrMalformed},
		{"header length under 20", edit(0, 0, 0x44), 576, fragment.ErrMalformed},
		{"total length under the header's", join([]byte{0x4f, 0, 0, 59}, make([]byte, 60)), 576, fragment.ErrMalformed},
		{"data cut short", packet4(0, nil, long)[:900], 576, fragment.ErrMalformed},
		{"MF and no multiple of 8", packet4(mf, nil, long[:999]), 576, fragment.ErrMalformed},
		{"end beyond 65535", packet4(8100, nil, long), 576, fragment.ErrMalformed},
		{"option without length", packet4(0, join(nop, nop, nop, []byte{0x94}), long), 576, fragment.ErrMalformed},
		{"option of length 1", packet4(0, []byte{0x94, 1, 0, 0}, long), 576, fragment.ErrMalformed},
		{"option beyond the header", packet4(0, []byte{0x94, 5, 0, 0}, long), 576, fragment.ErrMalformed},
		{"an MTU under 68", packet4(0, nil, long), 67, fragment.ErrMTU},
		{"a negative MTU", packet4(0, nil, long), -1, fragment.ErrMTU},
		{"too many fragments", packet4(0, nil, make([]byte, 128*48+8)), 68, fragment.ErrTooMany},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var a arena
			n, err := fragment.IPv4(&a, test.packet, test.mtu)
			if n != 0 || !errors.Is(err, test.want) || len(a.packets) != 0 {
				t.Errorf("IPv4 = %d, %v with %d packets; want 0, %v", n, err, len(a.packets), test.want)
			}
		})
	}
}

func TestMaxFragmentsIsReached(t *testing.T) {
	longest := bytes.Repeat(routerAlert, 10)
	var a arena
	n, err := fragment.IPv4(&a, packet4(0, longest, make([]byte, 65535-60)), 576)
	if n != fragment.MaxFragments || err != nil {
		t.Errorf("the largest packet at 576 = %d, %v; want %d, nil", n, err, fragment.MaxFragments)
	}
}
