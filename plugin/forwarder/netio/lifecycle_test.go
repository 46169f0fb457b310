package netio

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// packetPair is a namespace with two Ethernet interfaces, inet and access, that
// lead to a host each.
func packetPair(t *testing.T) (middle, inet, access *namespace) {
	middle, inet, access = newNamespace(t), newNamespace(t), newNamespace(t)
	connect(middle, "inet", inet, "middle", 1500)
	connect(middle, "access", access, "middle", 1600)
	middle.do(func() {
		middle.address("inet", "198.51.100.1/24")
		middle.address("access", "2001:db8::1/64")
	})
	inet.do(func() { inet.address("middle", "198.51.100.2/24") })
	access.do(func() { access.address("middle", "2001:db8::2/64") })
	return middle, inet, access
}

// openFiles counts the process's descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc")
	}
	return len(entries)
}

func TestStartStop(t *testing.T) {
	middle, _, _ := packetPair(t)
	for _, test := range []struct {
		name   string
		config Config
	}{
		{"tun", tunConfig(leftIPv4, rightIPv4, leftIPv6)},
		{"packet", packetConfig()},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.config.Queues = 2
			before := 0
			for cycle := range 100 {
				_, stop := middle.start(test.config, leftTunnel)
				if cycle%2 == 0 {
					runtime.Gosched() // stop a port that runs and one that hardly began
				}
				stop()
				if cycle == 0 {
					before = openFiles(t)
				}
			}
			if after := openFiles(t); after > before {
				t.Errorf("%d descriptors are open, %d after the first cycle", after, before)
			}
			middle.do(func() {
				if _, err := netlink.LinkByName(test.config.IPv4.Name); test.config.IPv4.Kind == KindTUN && err == nil {
					t.Error("the tun device is still there")
				}
				if n := blackholes(middle); n != 0 {
					t.Errorf("%d routes stay behind", n)
				}
			})
		})
	}
}

func TestOpenErrors(t *testing.T) {
	middle, _, _ := packetPair(t)
	middle.do(func() {
		for _, tun := range []*netlink.Tuntap{
			{LinkAttrs: netlink.LinkAttrs{Name: "tap"}, Mode: netlink.TUNTAP_MODE_TAP},
			{LinkAttrs: netlink.LinkAttrs{Name: "single"}, Mode: netlink.TUNTAP_MODE_TUN},
		} {
			middle.check(netlink.LinkAdd(tun), "add %s", tun.Name)
			for _, f := range tun.Fds {
				f.Close()
			}
		}
		middle.route("203.0.113.0/24", "198.51.100.2")
	})
	busy := DefaultConfig()
	busy.IPv4.Name, busy.IPv6.Name = "busy4", "busy6"
	middle.start(busy, leftTunnel)

	for _, test := range []struct {
		name   string
		change func(*Config)
		want   error
		text   string
	}{
		{"invalid", func(c *Config) { c.Queues = 0 }, nil, "queues: 0"},
		{"missing", func(c *Config) { c.IPv4 = DeviceConfig{Kind: KindPacket, Name: "eth9"} }, ErrNoInterface, "ipv4 device eth9: no such interface"},
		{"busy", func(c *Config) { c.IPv6.Name = "busy6" }, ErrBusy, "ipv6 device busy6"},
		{"Ethernet as tun", func(c *Config) { c.IPv4.Name = "inet" }, ErrUnsuitable, "not a tun device"},
		{"tap as tun", func(c *Config) { c.IPv4.Name = "tap" }, ErrUnsuitable, "not a tun device"},
		{"queues on a device of one", func(c *Config) { c.IPv4.Name, c.Queues = "single", 2 }, ErrUnsuitable, "multi_queue"},
		{"loopback as packet", func(c *Config) { c.IPv4 = DeviceConfig{Kind: KindPacket, Name: "lo"} }, ErrUnsuitable, "Ethernet"},
		{"tun as packet", func(c *Config) { c.IPv4 = DeviceConfig{Kind: KindPacket, Name: "single"} }, ErrUnsuitable, "Ethernet"},
		{"another's route", func(c *Config) { c.IPv4.Routes = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} }, nil, "another route"},
		{"MTU refused", func(c *Config) { c.IPv4.MTU = 65535 + 1 }, nil, "MTU 65536"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := openFiles(t)
			config := DefaultConfig()
			test.change(&config)
			port, err := middle.open(config)
			if err == nil {
				port.Close()
				t.Fatal("no error")
			}
			if test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q", err)
			}
			if after := openFiles(t); after != before {
				t.Errorf("%d descriptors became %d", before, after)
			}
		})
	}

	t.Run("permission", func(t *testing.T) {
		for _, config := range []Config{DefaultConfig(), packetConfig()} {
			middle.do(func() {
				// This thread only, and it ends with this function.
				none := unix.CapUserData{}
				header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
				data := [2]unix.CapUserData{none, none}
				middle.check(unix.Capset(&header, &data[0]), "drop capabilities")
				if _, err := Open(config, quiet()); !errors.Is(err, ErrPermission) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %q", err)
				}
			})
		}
	})
}

// TestClosedTUNFile: what is wrong is the file, and not a capability.
func TestClosedTUNFile(t *testing.T) {
	n := newNamespace(t)
	directory := filepath.Dir(tunPath)
	n.do(func() {
		// Of this thread only: a file system on which no device can be opened.
		n.check(unix.Unshare(unix.CLONE_NEWNS), "new mount namespace")
		n.check(unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), "private mounts")
		n.check(unix.Mount("tmpfs", directory, "tmpfs", unix.MS_NODEV, ""), "mount")
		n.check(unix.Mknod(tunPath, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))), "device file")
		_, err := Open(DefaultConfig(), quiet())
		if !errors.Is(err, ErrNoAccess) || errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), tunPath+" may not be opened") {
			t.Errorf("error %q", err)
		}
	})
}

func TestAdoptedTUN(t *testing.T) {
	n := newNamespace(t)
	config := tunConfig(leftIPv4, rightIPv4, leftIPv6)
	for _, flags := range []netlink.TuntapFlag{netlink.TUNTAP_NO_PI, netlink.TUNTAP_MULTI_QUEUE_DEFAULTS} {
		n.do(func() {
			tun := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: config.IPv4.Name}, Mode: netlink.TUNTAP_MODE_TUN, Flags: flags, Queues: 1}
			n.check(netlink.LinkAdd(tun), "add device")
			for _, f := range tun.Fds {
				f.Close()
			}
		})
		_, stop := n.start(config, leftTunnel)
		n.do(func() {
			if link := n.link(config.IPv6.Name); link.Attrs().TxQLen != tunQueueLen || link.Attrs().MTU != config.IPv6.MTU {
				t.Errorf("device %+v", link.Attrs())
			}
		})
		stop()
		n.do(func() {
			link := n.link(config.IPv4.Name)
			r, err := newRoutes(&netlink.Handle{}, dataplane.SideIPv4, link.Attrs().Index)
			n.check(err, "routes")
			if len(r.have) != 0 {
				t.Errorf("routes %v stay behind", r.have)
			}
			n.check(netlink.LinkDel(link), "remove device")
		})
	}
}

func TestDeviceGone(t *testing.T) {
	for _, test := range []struct {
		name   string
		config Config
		device string
	}{
		{"tun", DefaultConfig(), DefaultConfig().IPv6.Name},
		{"packet", packetConfig(), "inet"},
	} {
		t.Run(test.name, func(t *testing.T) {
			middle, _, _ := packetPair(t)
			port, err := middle.open(test.config)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			go func() { done <- port.Run(ctx, leftTunnel) }()
			middle.do(func() { middle.check(netlink.LinkDel(middle.link(test.device)), "remove") })
			if err := <-done; !errors.Is(err, ErrGone) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// calls counts what a Processor is asked.
type calls struct {
	frames, empty atomic.Int64
	called        chan struct{} // gets a value at each call, if there is room
}

func newCalls() *calls {
	return &calls{called: make(chan struct{}, 1)}
}

func (c *calls) Process(_ time.Time, _ dataplane.Side, in []Frame, out []Output) []Output {
	if len(in) == 0 {
		c.empty.Add(1)
	}
	c.frames.Add(int64(len(in)))
	select {
	case c.called <- struct{}{}:
	default:
	}
	return out
}

// wait waits until done, which is asked after each call.
func (c *calls) wait(t *testing.T, done func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for !done() {
		select {
		case <-c.called:
		case <-timeout:
			t.Fatal("nothing more is processed")
		}
	}
}

func TestIdle(t *testing.T) {
	n := newNamespace(t)
	c := newCalls()
	n.start(DefaultConfig(), func(int) Processor { return c })
	c.wait(t, func() bool { return c.empty.Load() > 0 })
}

func TestDownAndUp(t *testing.T) {
	middle, inet, _ := packetPair(t)
	c := newCalls()
	config := packetConfig()
	port, _ := middle.start(config, func(int) Processor { return c })
	send := func() {
		inet.do(func() {
			conn, err := dialHere(t.Context(), "udp4", rightIPv4+":9")
			inet.check(err, "dial")
			defer conn.Close()
			// Lost while the interface comes up again.
			for before := c.frames.Load(); c.frames.Load() == before; {
				if _, err := conn.Write([]byte("packet")); err != nil && !errors.Is(err, syscall.ENETUNREACH) {
					t.Errorf("send: %v", err)
					return
				}
				runtime.Gosched()
			}
		})
	}
	inet.do(func() { inet.route(rightIPv4+"/32", "198.51.100.1") })
	send()
	middle.do(func() { middle.check(netlink.LinkSetDown(middle.link("inet")), "down") })
	middle.do(func() { middle.up("inet") })
	send()
	if d := deviceOf(port.Stats(), dataplane.SideIPv4); d.Received.Packets < 2 {
		t.Errorf("%d packets received", d.Received.Packets)
	}
}
