package fragment_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/forwarder/fragment"
)

func TestIPv6Cuts(t *testing.T) {
	tests := []struct {
		name    string
		payload int
		mtu     int
		want    []int // payload lengths, Fragment header included
	}{
		{"one octet too many", 1241, 1280, []int{1240, 17}},
		{"1480-octet inner packet at 1280", 1480, 1280, []int{1240, 256}},
		{"1460-octet inner packet at 1280", 1460, 1280, []int{1240, 236}},
		{"last fragment fills the MTU", 2 * 1232, 1280, []int{1240, 1240}},
		{"room that is no multiple of 8", 2000, 1285, []int{1240, 776}},
		{"last fragment uses room that is no multiple of 8", 1232 + 1237, 1285, []int{1240, 1245}},
		{"three at 1500", 4040, 1500, []int{1456, 1456, 1152}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			payload := make([]byte, test.payload)
			for i := range payload {
				payload[i] = byte(i * 7)
			}
			packet := packet6(payload)
			var a arena
			n, err := fragment.IPv6(&a, packet, test.mtu, 0x42424243)
			if err != nil || n != len(test.want) || len(a.packets) != n {
				t.Fatalf("IPv6 = %d, %v with %d packets; want %d, nil", n, err, len(a.packets), len(test.want))
			}
			for i, f := range a.packets {
				if got := int(binary.BigEndian.Uint16(f[4:])); got != test.want[i] {
					t.Errorf("fragment %d has payload length %d, want %d", i, got, test.want[i])
				}
			}
			check6(t, packet, a.packets, test.mtu, 0x42424243)
		})
	}
}

// check6 puts fragments together again in the most obvious way and compares.
func check6(t *testing.T, packet []byte, fragments [][]byte, mtu int, id uint32) {
	t.Helper()
	var data []byte
	for i, f := range fragments {
		last := i == len(fragments)-1
		if len(f) > mtu {
			t.Fatalf("fragment %d has %d octets, MTU %d", i, len(f), mtu)
		}
		if !last && len(f)+8 <= mtu {
			t.Fatalf("fragment %d has %d octets, so 8 more would fit MTU %d", i, len(f), mtu)
		}
		want := bytes.Clone(packet[:40])
		binary.BigEndian.PutUint16(want[4:], uint16(len(f)-40))
		want[6] = 44
		want = append(want, packet[6], 0)
		word := uint16(len(data))
		if !last {
			word |= 1
		}
		want = binary.BigEndian.AppendUint16(want, word)
		want = binary.BigEndian.AppendUint32(want, id)
		if !bytes.Equal(f[:48], want) {
			t.Fatalf("fragment %d has headers\n%x, want\n%x", i, f[:48], want)
		}
		data = append(data, f[48:]...)
	}
	if !bytes.Equal(data, packet[40:]) {
		t.Fatal("the fragments do not add up to the packet")
	}
}

func TestIPv6Property(t *testing.T) {
	rng := newRand(t)
	for range 500 {
		packet := packet6(randomBytes(rng, 1241+rng.IntN(65535-1240)))
		mtu := 1280 + rng.IntN(len(packet)-1280)
		id := rng.Uint32()
		var a arena
		n, err := fragment.IPv6(&a, packet, mtu, id)
		if err != nil || n < 2 || n > fragment.MaxFragments {
			t.Fatalf("%d octets at MTU %d: %d, %v", len(packet), mtu, n, err)
		}
		check6(t, packet, a.packets, mtu, id)
	}
}

func TestIPv6FitsUncut(t *testing.T) {
	packet := packet6(make([]byte, 1240))
	var a arena
	n, err := fragment.IPv6(&a, append(bytes.Clone(packet), 1, 2, 3), 1280, 1)
	if n != 1 || err != nil {
		t.Fatalf("IPv6 = %d, %v; want 1, nil", n, err)
	}
	if !bytes.Equal(a.packets[0], packet) {
		t.Error("a packet that fits must be copied as it is, without trailing octets")
	}
}

func TestIPv6Refuses(t *testing.T) {
	with := func(next byte) []byte {
		b := packet6(make([]byte, 1400))
		b[6] = next
		return b
	}
	tests := []struct {
		name   string
		packet []byte
		mtu    int
		want   error
	}{
		{"nothing", nil, 1280, fragment.ErrMalformed},
		{"a short header", packet6(nil)[:39], 1280, fragment.ErrMalformed},
		{"IPv4", packet4(0, nil, make([]byte, 1400)), 1280, fragment.ErrMalformed},
		{"a payload cut short", packet6(make([]byte, 1400))[:1400], 1280, fragment.ErrMalformed},
		{"Hop-by-Hop Options", with(0), 1280, fragment.ErrMalformed},
		{"a Routing header", with(43), 1280, fragment.ErrMalformed},
		{"a fragment", with(44), 1280, fragment.ErrMalformed},
		{"an MTU under 1280", packet6(make([]byte, 1400)), 1279, fragment.ErrMTU},
		{"a negative MTU", packet6(make([]byte, 1400)), -1, fragment.ErrMTU},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var a arena
			n, err := fragment.IPv6(&a, test.packet, test.mtu, 1)
			if n != 0 || !errors.Is(err, test.want) || len(a.packets) != 0 {
				t.Errorf("IPv6 = %d, %v with %d packets; want 0, %v", n, err, len(a.packets), test.want)
			}
		})
	}
}

func TestNoRoom(t *testing.T) {
	a := arena{limit: 2}
	if n, err := fragment.IPv6(&a, packet6(make([]byte, 4000)), 1280, 1); n != 2 || !errors.Is(err, fragment.ErrNoRoom) {
		t.Errorf("IPv6 = %d, %v; want 2, %v", n, err, fragment.ErrNoRoom)
	}
	a = arena{limit: 1}
	if n, err := fragment.IPv4(&a, packet4(0, nil, make([]byte, 4000)), 1280); n != 1 || !errors.Is(err, fragment.ErrNoRoom) {
		t.Errorf("IPv4 = %d, %v; want 1, %v", n, err, fragment.ErrNoRoom)
	}
	if n, err := fragment.IPv4(&a, packet4(0, nil, nil), 1280); n != 0 || !errors.Is(err, fragment.ErrNoRoom) {
		t.Errorf("IPv4 of a packet that fits = %d, %v; want 0, %v", n, err, fragment.ErrNoRoom)
	}
}
