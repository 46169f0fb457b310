package netio

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// swapAddresses turns an IPv4 packet back to its sender; checksums stay right.
func swapAddresses(packet []byte) {
	var source [4]byte
	copy(source[:], packet[12:16])
	copy(packet[12:16], packet[16:20])
	copy(packet[16:20], source[:])
}

func TestTUNWithoutPort(t *testing.T) {
	n := newNamespace(t)
	config := DeviceConfig{
		Kind: KindTUN, Name: "alone", MTU: 1400,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")},
	}
	var tun *TUN
	n.do(func() {
		var err error
		tun, err = OpenTUN(config, 8)
		n.check(err, "open")
	})
	conn := n.dial("udp4", "192.0.2.9:9")
	if _, err := conn.Write([]byte("there and back")); err != nil {
		t.Fatal(err)
	}
	poll := []unix.PollFd{{Fd: int32(tun.Descriptor()), Events: unix.POLLIN}}
	if _, err := unix.Poll(poll, int(patience/time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	received := 0
	if err := tun.Receive(func(frames []Frame) {
		for _, f := range frames {
			p := f.Packet()
			swapAddresses(p)
			// Ports too, which the checksum does not notice either.
			p[20], p[21], p[22], p[23] = p[22], p[23], p[20], p[21]
			received++
			if err := tun.Transmit([][]byte{p}); err != nil {
				t.Error(err)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if received != 1 {
		t.Fatalf("%d packets received, want 1", received)
	}
	buf := make([]byte, 100)
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if got, err := conn.Read(buf); err != nil || string(buf[:got]) != "there and back" {
		t.Errorf("read %q, %v", buf[:got], err)
	}
	if s := tun.Stats(); s.Received.Packets != 1 || s.Sent.Packets != 1 {
		t.Errorf("counted %d in and %d out, want 1 and 1", s.Received.Packets, s.Sent.Packets)
	}
	tun.Close()
	tun.Close()
	n.do(func() {
		handle, err := OpenNetlink()
		n.check(err, "netlink")
		defer handle.Close()
		if _, err := findLink(handle, "alone"); err == nil {
			t.Error("the device outlives its TUN")
		}
	})
}

func TestTUNWithoutPortRefuses(t *testing.T) {
	n := newNamespace(t)
	good := DeviceConfig{Kind: KindTUN, Name: "alone"}
	for name, open := range map[string]func() (*TUN, error){
		"no batch":      func() (*TUN, error) { return OpenTUN(good, 0) },
		"packet device": func() (*TUN, error) { return OpenTUN(DeviceConfig{Kind: KindPacket, Name: "lo"}, 8) },
		"not a tun":     func() (*TUN, error) { return OpenTUN(DeviceConfig{Name: "lo"}, 8) },
		"routes": func() (*TUN, error) {
			return OpenTUN(DeviceConfig{Name: "alone", Routes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, 8)
		},
		"no name": func() (*TUN, error) { return OpenTUN(DeviceConfig{}, 8) },
		"foreign family": func() (*TUN, error) {
			return OpenTUN(DeviceConfig{Name: "alone", Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8::1/128")}}, 8)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n.do(func() {
				if tun, err := open(); err == nil {
					tun.Close()
					t.Error("opened")
				}
			})
		})
	}
}
