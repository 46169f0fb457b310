package reassembly_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/forwarder/checksum"
	"github.com/lwaftr/lw4o6/plugin/forwarder/fragment"
	"github.com/lwaftr/lw4o6/plugin/forwarder/reassembly"
)

// kernelMTU is that of the TUN device in kernel tests.
const kernelMTU = 1280

// missing skips t for want of what, or fails it where tests that need network
// namespaces are required.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("LW4O6_REQUIRE_NETNS") == "1" {
		t.Fatalf("LW4O6_REQUIRE_NETNS is set, but missing: %s", what)
	}
	t.Skipf("missing: %s", what)
}

// inKernel runs body with a TUN device that has the addresses 192.0.2.1/24 and
// 2001:db8::1/64, in a network namespace that ends with it.
func inKernel(t *testing.T, body func(tun *os.File) error) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "root, to make a network namespace")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		missing(t, "/dev/net/tun")
	}
	done := make(chan error)
	go func() {
		// The thread is never unlocked: it ends with the goroutine, and the
		// namespace with the thread.
		runtime.LockOSThread()
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("unshare: %w", err)
			}
			tun, err := newTUN()
			if err != nil {
				return err
			}
			defer tun.Close()
			return body(tun)
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func newTUN() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	tun := os.NewFile(uintptr(fd), "/dev/net/tun")
	request, err := unix.NewIfreq("frag0")
	if err != nil {
		return nil, errors.Join(err, tun.Close())
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, errors.Join(fmt.Errorf("TUNSETIFF: %w", err), tun.Close())
	}
	if err := configureTUN(); err != nil {
		return nil, errors.Join(err, tun.Close())
	}
	// Opened anew for the poller, which only takes a descriptor that can be
	// polled, and this one could not be before TUNSETIFF.
	again, err := unix.Dup(fd)
	if err != nil {
		return nil, errors.Join(err, tun.Close())
	}
	if err := tun.Close(); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(again), "frag0"), nil
}

func configureTUN() error {
	link, err := netlink.LinkByName("frag0")
	if err != nil {
		return fmt.Errorf("find the TUN device: %w", err)
	}
	// Up first: an address added before that may stay tentative for a while.
	if err := errors.Join(netlink.LinkSetMTU(link, kernelMTU), netlink.LinkSetUp(link)); err != nil {
		return fmt.Errorf("set the TUN device up: %w", err)
	}
	for _, prefix := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
		addr, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("add %s: %w", prefix, err)
		}
	}
	return nil
}

// endpoint is the kernel's end of a conversation, and ours.
type endpoint struct{ kernel, peer netip.AddrPort }

func endpoints() []endpoint {
	return []endpoint{
		{netip.MustParseAddrPort("192.0.2.1:4000"), netip.MustParseAddrPort("192.0.2.2:5000")},
		{netip.MustParseAddrPort("[2001:db8::1]:4000"), netip.MustParseAddrPort("[2001:db8::2]:5000")},
	}
}

// udpTo is the UDP datagram from e.peer to e.kernel, checksum included.
func (e endpoint) udpTo(payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, e.peer.Port())
	b = binary.BigEndian.AppendUint16(b, e.kernel.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	b = append(b, 0, 0)
	b = append(b, payload...)
	pseudo := append(e.peer.Addr().AsSlice(), e.kernel.Addr().AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(b)))
	pseudo = append(pseudo, 0, 0, 0, udp)
	binary.BigEndian.PutUint16(b[6:], checksum.Of(append(pseudo, b...)))
	return b
}

// packet is a datagram in an IP packet, from e.peer to e.kernel.
func (e endpoint) packet(id uint16, options, datagram []byte) []byte {
	if e.kernel.Addr().Is4() {
		b := flow{id: uint32(id), proto: udp, options: options}.whole4(datagram, 0)
		copy(b[12:], e.peer.Addr().AsSlice())
		copy(b[16:], e.kernel.Addr().AsSlice())
		b[10], b[11] = 0, 0
		binary.BigEndian.PutUint16(b[10:], checksum.Of(b[:20+len(options)]))
		return b
	}
	b := flow{proto: udp}.whole6(datagram, 0)
	copy(b[8:], e.peer.Addr().AsSlice())
	copy(b[24:], e.kernel.Addr().AsSlice())
	return b
}

// collect is an Arena that keeps what it hands out.
type collect struct{ packets [][]byte }

func (c *collect) Alloc(n int) []byte {
	b := make([]byte, n)
	c.packets = append(c.packets, b)
	return b
}

// The kernel makes whole what package fragment has cut.
func TestKernelReassembles(t *testing.T) {
	routerAlertAndNop := []byte{1, 0x94, 4, 0, 0, 1, 1, 0}
	checked := 0
	inKernel(t, func(tun *os.File) error {
		for i, e := range endpoints() {
			conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(e.kernel))
			if err != nil {
				return err
			}
			defer conn.Close()
			for _, size := range []int{1300, 2459, 4000, 20_001} {
				payload := data(size, byte(i))
				whole := e.packet(uint16(size), routerAlertAndNop, e.udpTo(payload))
				var pieces, again collect
				if e.kernel.Addr().Is4() {
					if _, err := fragment.IPv4(&pieces, whole, 1100); err != nil {
						return err
					}
					for _, piece := range pieces.packets {
						if _, err := fragment.IPv4(&again, piece, 576); err != nil {
							return err
						}
					}
				} else if _, err := fragment.IPv6(&again, whole, kernelMTU, uint32(size)); err != nil {
					return err
				}
				got, err := deliver(tun, again.packets, conn)
				if err != nil {
					return fmt.Errorf("%v, %d octets in %d fragments: %w", e.kernel, size, len(again.packets), err)
				}
				if !bytes.Equal(got, payload) {
					return fmt.Errorf("%v: %d octets arrived, not the %d sent", e.kernel, len(got), size)
				}
				checked++
			}
		}
		return nil
	})
	if checked != 8 {
		t.Errorf("%d datagrams checked, want 8", checked)
	}
}

// deliver gives packets to the kernel and returns the datagram that comes of
// them. It tries a few times, in case the kernel is not ready yet.
func deliver(tun *os.File, packets [][]byte, conn *net.UDPConn) ([]byte, error) {
	var err error
	for range 20 {
		for _, packet := range packets {
			if _, err := tun.Write(packet); err != nil {
				return nil, fmt.Errorf("write to the TUN device: %w", err)
			}
		}
		if err := conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			return nil, err
		}
		got := make([]byte, 65536)
		var n int
		if n, err = conn.Read(got); err == nil {
			return got[:n], nil
		}
	}
	return nil, err
}

// A Table makes whole what the kernel has cut.
func TestKernelFragments(t *testing.T) {
	checked := 0
	table := newTable(t, reassembly.DefaultConfig())
	inKernel(t, func(tun *os.File) error {
		for i, e := range endpoints() {
			conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(e.kernel), net.UDPAddrFromAddrPort(e.peer))
			if err != nil {
				return err
			}
			defer conn.Close()
			for _, size := range []int{1300, 2459, 4000, 20_001, 60_000} {
				payload := data(size, byte(i))
				if _, err := conn.Write(payload); err != nil {
					return fmt.Errorf("send %d octets: %w", size, err)
				}
				whole, err := readWhole(tun, table, e)
				if err != nil {
					return fmt.Errorf("%v, %d octets: %w", e.kernel, size, err)
				}
				if !bytes.HasSuffix(whole, payload) || len(whole) != len(e.packet(0, nil, e.udpTo(payload))) {
					return fmt.Errorf("%v: %d octets are whole, not the %d sent", e.kernel, len(whole), size)
				}
				if whole[0]>>4 == 4 && checksum.Of(whole[:20]) != 0 {
					return fmt.Errorf("%v: the header checksum is wrong: %x", e.kernel, whole[:20])
				}
				checked++
			}
		}
		return nil
	})
	if checked != 10 {
		t.Errorf("%d datagrams checked, want 10", checked)
	}
}

// readWhole feeds table with what the kernel sends to e.peer, until a packet is
// whole.
func readWhole(tun *os.File, table *reassembly.Table, e endpoint) ([]byte, error) {
	if err := tun.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	b := make([]byte, 2000)
	for {
		n, err := tun.Read(b)
		if err != nil {
			return nil, fmt.Errorf("read from the TUN device: %w", err)
		}
		var r reassembly.Result
		switch packet := b[:n]; {
		case packet[0]>>4 == 4 && bytes.Equal(packet[16:20], e.peer.Addr().AsSlice()):
			r = table.IPv4(start, packet, arena{})
		case packet[0]>>4 == 6 && bytes.Equal(packet[24:40], e.peer.Addr().AsSlice()):
			r = table.IPv6(start, packet, arena{})
		default:
			continue // router solicitations and the like
		}
		if len(r.Drops) > 0 {
			return nil, fmt.Errorf("dropped %q", drops(r.Drops))
		}
		if r.Packet != nil {
			return r.Packet, nil
		}
	}
}
