package punt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// packet4 is an IPv4 packet of n octets with a right checksum.
func packet4(n int) []byte {
	p := make([]byte, n)
	p[0], p[8], p[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(p[2:], uint16(n))
	copy(p[12:], []byte{192, 0, 2, 1, 198, 51, 100, 7})
	binary.BigEndian.PutUint16(p[10:], checksum.Of(p[:20]))
	return p
}

func packet6(n int) []byte {
	p := make([]byte, n)
	p[0], p[6], p[7] = 0x6a, 58, 64
	binary.BigEndian.PutUint16(p[4:], uint16(n-40))
	return p
}

// punted is what VPP writes for a packet that came with some VLAN tags.
func punted(index uint32, tags int, packet []byte, padding int) []byte {
	b := binary.NativeEndian.AppendUint32(nil, index)
	b = append(b, 0, 0, 0, 0)
	before := make([]byte, offset+vlan*tags)
	if tags > 0 {
		// The last tag: priority 3, and then the type of IPv6.
		copy(before[len(before)-4:], []byte{0x60, 0x05, 0x86, 0xdd})
	}
	return append(append(append(b, before...), packet...), make([]byte, padding)...)
}

func TestParse(t *testing.T) {
	for _, packet := range [][]byte{packet4(20), packet4(60), packet6(40), packet6(1500)} {
		for tags := range vlans + 1 {
			for _, padding := range []int{0, 18} {
				index, got, err := parse(punted(7, tags, packet, padding))
				if err != nil || index != 7 || !bytes.Equal(got, packet) {
					t.Errorf("%d tags, %d octets: index %d, %x, %v", tags, len(packet), index, got, err)
				}
			}
		}
	}
	broken := packet4(60)
	broken[10]++
	options := packet4(60)
	options[0] = 0x46
	for name, datagram := range map[string][]byte{
		"empty": nil, "descriptor only": make([]byte, 8), "zeros": make([]byte, 200),
		"cut": punted(1, 0, packet6(100), 0)[:80], "checksum": punted(1, 0, broken, 0), "options": punted(1, 0, options, 0),
	} {
		if _, got, err := parse(datagram); !errors.Is(err, ErrNoPacket) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

func TestFrame(t *testing.T) {
	options := packet4(64)
	options[0] = 0x46
	for name, test := range map[string]struct {
		packet []byte
		action uint32 // zero if it is no packet
	}{
		"ipv4": {packet4(60), actionIPv4}, "ipv6": {packet6(60), actionIPv6}, "options": {options, actionIPv4},
		"nothing": {nil, 0}, "ipv4 bare": {packet4(20), 0}, "ipv4 shortest": {packet4(21), actionIPv4}, "ipv4 cut": {packet4(60)[:59], 0}, "ipv6 cut": {packet6(60)[:39], 0},
		"ipv6 padded": {append(packet6(60), 0), 0}, "too long": {packet6(MaxPacket + 1), 0}, "version 5": {append([]byte{0x55}, make([]byte, 59)...), 0},
	} {
		got, err := frame(9, test.packet)
		if test.action == 0 {
			if !errors.Is(err, ErrNoPacket) {
				t.Errorf("%s: %x, %v", name, got, err)
			}
			continue
		}
		if err != nil || binary.NativeEndian.Uint32(got) != 9 || binary.NativeEndian.Uint32(got[4:]) != test.action || !bytes.Equal(got[8:], test.packet) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

func TestSocket(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	vpp, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: theirs, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer vpp.Close()
	for range 2 {
		// A socket that an earlier process left is replaced.
		if left, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: ours, Net: "unixgram"}); err == nil {
			left.Close()
		}
		s, err := Listen(ours, theirs)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, _, err := s.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Receive without a packet: %v", err)
		}
		cancel()
		if _, err := vpp.WriteToUnix(punted(3, 0, packet4(40), 0), &net.UnixAddr{Name: ours, Net: "unixgram"}); err != nil {
			t.Fatal(err)
		}
		if index, packet, err := s.Receive(t.Context()); err != nil || index != 3 || !bytes.Equal(packet, packet4(40)) {
			t.Errorf("Receive: %d, %x, %v", index, packet, err)
		}
		if err := s.Send(t.Context(), 5, packet6(60)); err != nil {
			t.Error(err)
		}
		got := make([]byte, 100)
		if n, err := vpp.Read(got); err != nil || !bytes.Equal(got[8:n], packet6(60)) {
			t.Errorf("VPP received %x, %v", got[:n], err)
		}
		// VPP does not read: the sender is not held up for long.
		for range 1000 {
			if err = s.Send(t.Context(), 5, packet6(60)); err != nil {
				break
			}
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Send to a VPP that does not read: %v", err)
		}
		for range 1000 {
			if err := vpp.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if _, err := vpp.Read(got); err != nil {
				break
			}
		}
		if err := vpp.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, _, err := s.Receive(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Receive on a closed socket: %v", err)
		}
	}
}

// FuzzParse: no datagram yields a packet that is not in it.
func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(punted(1, 0, packet4(30), 3))
	f.Add(punted(1, 2, packet6(60), 0))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		_, packet, err := parse(datagram)
		if err == nil && (len(packet) < 20 || !bytes.Contains(datagram, packet)) {
			t.Errorf("%x in %x", packet, datagram)
		}
		if err != nil && !errors.Is(err, ErrNoPacket) {
			t.Error(err)
		}
	})
}
