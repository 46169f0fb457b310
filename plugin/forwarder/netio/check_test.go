package netio

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// slowSum is the Internet checksum of the parts, one 16-bit word after the
// other as in RFC 1071 section 4.1.
func slowSum(parts ...[]byte) uint16 {
	var sum uint32
	for _, b := range parts {
		for i := 0; i < len(b); i += 2 {
			word := uint32(b[i]) << 8
			if i+1 < len(b) {
				word |= uint32(b[i+1])
			}
			sum += word
			for sum > 0xffff {
				sum = sum&0xffff + sum>>16
			}
		}
	}
	return ^uint16(sum)
}

// checkPacket checks lengths and checksums of a packet that is IPv4, IPv6 or
// IPv4 in IPv6, whole and with TCP, UDP or ICMP, without using any of the code
// under test.
func checkPacket(b []byte) error {
	if len(b) < 20 {
		return fmt.Errorf("%d bytes", len(b))
	}
	if b[0]>>4 == 6 {
		if len(b) < 40 || int(binary.BigEndian.Uint16(b[4:])) != len(b)-40 {
			return fmt.Errorf("payload length %d of %d bytes", binary.BigEndian.Uint16(b[4:]), len(b))
		}
		next, at := b[6], 40
		for next == 0 || next == 60 {
			next, at = b[at], at+8*(1+int(b[at+1]))
		}
		if next == 4 {
			return checkPacket(b[at:])
		}
		return checkTransport(next, b[8:40], b[at:])
	}
	header := int(b[0]&15) * 4
	if b[0]>>4 != 4 || header < 20 || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
		return fmt.Errorf("IPv4 header % x of %d bytes", b[:20], len(b))
	}
	if slowSum(b[:header]) != 0 {
		return fmt.Errorf("IPv4 header checksum")
	}
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return nil // a fragment
	}
	return checkTransport(b[9], b[12:20], b[header:])
}

func checkTransport(protocol uint8, addresses, b []byte) error {
	pseudo := []byte{0, protocol, byte(len(b) >> 24), byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}
	switch protocol {
	case 1:
		if slowSum(b) != 0 {
			return fmt.Errorf("ICMP checksum")
		}
	case 6:
		if slowSum(addresses, pseudo, b) != 0 {
			return fmt.Errorf("TCP checksum")
		}
	case 17:
		if int(binary.BigEndian.Uint16(b[4:])) != len(b) {
			return fmt.Errorf("UDP length %d of %d bytes", binary.BigEndian.Uint16(b[4:]), len(b))
		}
		if b[6]|b[7] != 0 && slowSum(addresses, pseudo, b) != 0 {
			return fmt.Errorf("UDP checksum")
		}
	default:
		return fmt.Errorf("protocol %d", protocol)
	}
	return nil
}

// watch checks what a port's processors are given.
type watch struct {
	mu      sync.Mutex
	packets int
	longest int
	wrong   []error
}

func (w *watch) look(side dataplane.Side, packet []byte) {
	err := checkPacket(packet)
	if side == dataplane.SideIPv6 && packet[6] != protocolIPv4 {
		err = nil // the kernel's own: neighbour discovery and the like
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.packets++
	if side == dataplane.SideIPv4 {
		w.longest = max(w.longest, len(packet))
	}
	if err != nil && len(w.wrong) < 5 {
		w.wrong = append(w.wrong, err)
	}
}

// check fails the test unless many packets came and all were right.
func (w *watch) check(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.wrong) > 0 {
		t.Errorf("wrong packets: %v", w.wrong)
	}
	if w.packets < 1000 || w.longest < 1400 || w.longest > 1500 {
		t.Errorf("%d packets, the longest of %d bytes", w.packets, w.longest)
	}
}
