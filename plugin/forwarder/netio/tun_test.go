package netio

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// Addresses of the two ends of the tunnel that the tests build.
const (
	leftIPv4, rightIPv4 = "192.0.2.1", "192.0.2.2"
	leftIPv6, rightIPv6 = "2001:db8:1::1", "2001:db8:2::1"
)

// tunConfig is the configuration of a tunnel end with two TUN devices: local4
// is an address of the kernel, local6 that of the tunnel end.
func tunConfig(local4, remote4, local6 string) Config {
	c := DefaultConfig()
	c.IPv6.MTU = 1540
	c.IPv4.Addresses = []netip.Prefix{netip.MustParsePrefix(local4 + "/32")}
	c.IPv4.Routes = []netip.Prefix{netip.MustParsePrefix(remote4 + "/32")}
	c.IPv6.Routes = []netip.Prefix{netip.MustParsePrefix(local6 + "/128")}
	return c
}

// tunnelEnds is two namespaces with IPv6 between them.
func tunnelEnds(t *testing.T) (left, right *namespace) {
	left, right = newNamespace(t), newNamespace(t)
	connect(left, "right", right, "left", 1600)
	left.do(func() {
		left.forward("1")
		left.address("right", "2001:db8::1/64")
		left.route(rightIPv6+"/128", "2001:db8::2")
	})
	right.do(func() {
		right.forward("1")
		right.address("left", "2001:db8::2/64")
		right.route(leftIPv6+"/128", "2001:db8::1")
	})
	return left, right
}

func leftTunnel(int) Processor {
	return &tunnel{local: netip.MustParseAddr(leftIPv6), remote: netip.MustParseAddr(rightIPv6)}
}

func rightTunnel(int) Processor {
	return &tunnel{local: netip.MustParseAddr(rightIPv6), remote: netip.MustParseAddr(leftIPv6)}
}

// transfer sends size random bytes over TCP from one namespace to another and
// back, and compares what comes with what was sent.
func transfer(t *testing.T, from, to *namespace, address string, size int) {
	t.Helper()
	listener := to.listen("tcp4", net.JoinHostPort(address, "5000"))
	echoed := make(chan error, 1)
	go func() {
		c, err := listener.Accept()
		if err == nil {
			defer c.Close()
			_, err = io.Copy(c, c)
		}
		echoed <- err
	}()
	c := from.dial("tcp4", listener.Addr().String())
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	sent := sha256.New()
	go func() {
		source := io.LimitReader(rand.NewChaCha8([32]byte{1}), int64(size))
		_, _ = io.Copy(c, io.TeeReader(source, sent))
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	received := sha256.New()
	n, err := io.Copy(received, c)
	if err != nil {
		t.Fatalf("after %d bytes: %v", n, err)
	}
	if err := <-echoed; err != nil {
		t.Fatalf("echo: %v", err)
	}
	if n != int64(size) || !bytes.Equal(sent.Sum(nil), received.Sum(nil)) {
		t.Fatalf("%d of %d bytes came back, or others", n, size)
	}
}

func ping(t *testing.T, from *namespace, address string) {
	t.Helper()
	path, err := exec.LookPath("ping")
	if err != nil {
		t.Skip("needs ping")
	}
	from.do(func() {
		// The first packets may find no neighbour yet: until three came back.
		output, err := exec.Command(path, "-n", "-c", "3", "-i", "0.02", "-w", "20", address).CombinedOutput()
		if err != nil {
			t.Errorf("ping: %v\n%s", err, output)
		}
	})
}

func deviceOf(stats Stats, side dataplane.Side) DeviceStats {
	for _, d := range stats.Devices {
		for _, s := range d.Sides {
			if s == side {
				return d
			}
		}
	}
	return DeviceStats{}
}

// oneDevice makes one device serve both sides. Its MTU has room for the tunnel,
// so the kernel must be told that its own packets have to be smaller.
func oneDevice(c *Config) {
	c.IPv6.Name, c.IPv4.MTU = c.IPv4.Name, c.IPv6.MTU
	c.IPv4.Routes = nil
}

func TestTUNTunnel(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
	}{
		{"offload", func(*Config) {}},
		{"no offload", func(c *Config) { c.NoOffload = true }},
		{"four queues", func(c *Config) { c.Queues = 4 }},
		{"one device", oneDevice},
	} {
		t.Run(test.name, func(t *testing.T) {
			left, right := tunnelEnds(t)
			leftConfig := tunConfig(leftIPv4, rightIPv4, leftIPv6)
			rightConfig := tunConfig(rightIPv4, leftIPv4, rightIPv6)
			test.change(&leftConfig)
			test.change(&rightConfig)
			seen := &watch{}
			port, _ := left.start(leftConfig, func(queue int) Processor {
				p := leftTunnel(queue).(*tunnel)
				p.look = seen.look
				return p
			})
			right.start(rightConfig, rightTunnel)
			if leftConfig.IPv4.Name == leftConfig.IPv6.Name {
				left.do(func() { left.smallRoute(leftConfig.IPv4.Name, rightIPv4) })
				right.do(func() { right.smallRoute(rightConfig.IPv4.Name, leftIPv4) })
			}

			ping(t, left, rightIPv4)
			transfer(t, left, right, rightIPv4, 8<<20)
			seen.check(t)
			stats := port.Stats()
			d := deviceOf(stats, dataplane.SideIPv4)
			if on := !leftConfig.NoOffload; (d.SupersReceived > 0) != on || (d.SupersSent > 0) != on {
				t.Errorf("super-packets: %d received, %d sent", d.SupersReceived, d.SupersSent)
			}
			for _, d := range stats.Devices {
				for _, drop := range d.Drops {
					// A machine with too few CPUs may be late to read.
					if drop.Packets > 0 && drop.Cause != rxVersion.String() && drop.Cause != rxOverrun.String() {
						t.Errorf("%s dropped %d packets: %s", d.Name, drop.Packets, drop.Cause)
					}
				}
			}
		})
	}
}
