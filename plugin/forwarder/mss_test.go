package forwarder

import (
	"encoding/binary"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

// tcpPacket is an IPv4 TCP packet with options, all checksums right.
func tcpPacket(flags byte, options ...byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, tcpOptionNop)
	}
	b := make([]byte, header4Len+tcpHeaderLen+len(options))
	b[0], b[8], b[9] = 0x45, 64, protoTCP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], []byte{192, 0, 2, 1, 198, 51, 100, 1})
	segment := b[header4Len:]
	binary.BigEndian.PutUint16(segment, 40000)
	binary.BigEndian.PutUint16(segment[2:], 443)
	segment[12] = byte((tcpHeaderLen + len(options)) / 4 << 4)
	segment[13] = flags
	copy(segment[tcpHeaderLen:], options)
	binary.BigEndian.PutUint16(segment[16:], tcpChecksum(b))
	binary.BigEndian.PutUint16(b[10:], checksum.Of(b[:header4Len]))
	return b
}

// tcpChecksum is that of RFC 9293 section 3.1, zero over a right segment.
func tcpChecksum(b []byte) uint16 {
	segment := b[header4Len:]
	pseudo := append([]byte(nil), b[12:20]...)
	pseudo = append(pseudo, 0, protoTCP, byte(len(segment)>>8), byte(len(segment)))
	return checksum.Of(append(pseudo, segment...))
}

func TestClampMSS(t *testing.T) {
	const limit = 1420
	mss := func(v uint16) []byte { return []byte{tcpOptionMSS, 4, byte(v >> 8), byte(v)} }
	tests := []struct {
		name    string
		flags   byte
		options []byte
		clamped bool
		at      int // of the value in the options
	}{
		{"SYN", tcpFlagSYN, mss(1460), true, 2},
		{"SYN ACK", tcpFlagSYN | 0x10, mss(1460), true, 2},
		{"value at an odd offset", tcpFlagSYN, append([]byte{tcpOptionNop}, mss(1460)...), true, 3},
		{"after other options", tcpFlagSYN, append([]byte{3, 3, 7}, mss(65535)...), true, 5},
		{"just above", tcpFlagSYN, mss(limit + 1), true, 2},
		{"equal", tcpFlagSYN, mss(limit), false, 0},
		{"smaller", tcpFlagSYN, mss(536), false, 0},
		{"no handshake", 0x10, mss(1460), false, 0},
		{"no options", tcpFlagSYN, nil, false, 0},
		{"behind the end of options", tcpFlagSYN, append([]byte{tcpOptionEnd}, mss(1460)...), false, 0},
		{"length zero", tcpFlagSYN, []byte{tcpOptionMSS, 0, 0x05, 0xb4}, false, 0},
		{"length beyond the header", tcpFlagSYN, []byte{tcpOptionNop, tcpOptionNop, tcpOptionMSS, 4}, false, 0},
		{"wrong length for an MSS", tcpFlagSYN, []byte{tcpOptionMSS, 3, 0x05, tcpOptionNop}, false, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := tcpPacket(test.flags, test.options...)
			before := string(b)
			var h header4
			if _, ok := parse4(b, &h); !ok {
				t.Fatal("the test's own packet is broken")
			}
			if got := clampMSS(b, &h, limit); got != test.clamped {
				t.Fatalf("clamped: %v, want %v", got, test.clamped)
			}
			if !test.clamped {
				if string(b) != before {
					t.Error("the packet was changed")
				}
				return
			}
			if v := binary.BigEndian.Uint16(b[header4Len+tcpHeaderLen+test.at:]); v != limit {
				t.Errorf("MSS %d, want %d", v, limit)
			}
			if sum := tcpChecksum(b); sum != 0 {
				t.Errorf("the checksum is off by %#04x", sum)
			}
		})
	}
}

func TestClampMSSTruncatedHeader(t *testing.T) {
	whole := tcpPacket(tcpFlagSYN, tcpOptionMSS, 4, 0x05, 0xb4)
	for n := header4Len; n < len(whole); n++ {
		b := append([]byte(nil), whole[:n]...)
		h := header4{length: header4Len, total: n, proto: protoTCP}
		if clampMSS(b, &h, 1000) {
			t.Errorf("%d octets were clamped", n)
		}
	}
}
