package encap

import (
	"bytes"
	"slices"
	"testing"
)

// unboundMessage is the lwAFTR's answer to a packet of ours.
func unboundMessage(inner []byte) []byte {
	outer := append(make([]byte, HeaderLen), inner...)
	New(ends, noPorts, 64).Encapsulate(outer)
	return append([]byte{1, 5, 0, 0, 0, 0, 0, 0}, outer...)
}

func TestUnbound(t *testing.T) {
	packet := ipv4(protoTCP, ours, server, ports(inSet, 80))
	good := unboundMessage(packet)
	change := func(at int, to byte) []byte {
		b := slices.Clone(good)
		b[at] = to
		return b
	}
	fragmented := func(offset byte) []byte {
		b := slices.Insert(slices.Clone(good), icmp6HeaderLen+HeaderLen, protoIPIP, 0, 0, offset, 0, 0, 0, 1)
		b[icmp6HeaderLen+6] = headerFragment
		return b
	}
	for _, row := range []struct {
		name    string
		message []byte
		want    bool
	}{
		{"type 1 code 5", good, true},
		{"with more after it", append(slices.Clone(good), 1, 2, 3), true},
		{"about a first fragment", fragmented(1), true},
		{"about a later fragment", fragmented(8), false},
		{"another code", change(1, 4), false},
		{"another type", change(0, 3), false},
		{"not sent by us", change(8+23, 9), false},
		{"not sent to the BR address", change(8+39, 9), false},
		{"no IPv4 in IPv6", change(8+6, 17), false},
		{"no IPv6", change(8, 0x40), false},
		{"no IPv4 inside", change(48, 0x60), false},
		{"cut short", good[:48+19], false},
		{"of a header only", good[:48], false},
		{"empty", nil, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			inner, ok := Unbound(row.message, ends)
			if ok != row.want || ok && !bytes.HasPrefix(inner, packet) {
				t.Errorf("got %x, %t", inner, ok)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	packet := ipv4(protoTCP, ours, server, ports(inSet, 80))
	same := slices.Clone(packet)
	same[8]-- // TTL
	same[10]++
	if Fingerprint(packet) != Fingerprint(same) {
		t.Error("a packet that was forwarded is another one")
	}
	seen := map[uint64]int{Fingerprint(packet): -1}
	for i := range 2000 {
		p := ipv4(protoTCP, ours, server, ports(uint16(i), 81))
		if before, ok := seen[Fingerprint(p)]; ok {
			t.Errorf("packets %d and %d have the same fingerprint", before, i)
		}
		seen[Fingerprint(p)] = i
	}
}

func FuzzUnbound(f *testing.F) {
	f.Add(unboundMessage(ipv4(protoTCP, ours, server, ports(inSet, 80))))
	f.Add([]byte{1, 5})
	f.Fuzz(func(t *testing.T, message []byte) {
		if inner, ok := Unbound(message, ends); ok {
			Fingerprint(inner)
			if inner[0]>>4 != 4 {
				t.Fatal("not IPv4")
			}
		}
	})
}
