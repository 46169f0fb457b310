package tunnel

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/encap"
)

func TestOutbound(t *testing.T) {
	r := newRig(t)
	r.start()
	conn := r.socket(ourPort)
	r.must(setTOS(conn, 0xb9))
	_, err := conn.Write([]byte("out"))
	r.must(err)
	inner, class, from := r.receive()
	if from != b4 || class != 0xb9 || !bytes.HasSuffix(inner, []byte("out")) {
		t.Errorf("the AFTR received % x with traffic class %#x from %s", inner, class, from)
	}
}

func setTOS(conn *net.UDPConn, tos int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TOS, tos) })
	return errors.Join(err, failed)
}

func TestOutboundOutsidePortSetIsDropped(t *testing.T) {
	r := newRig(t)
	r.start()
	_, err := r.socket(foreignPort).Write([]byte("never"))
	r.must(err)
	_, err = r.socket(ourPort).Write([]byte("marker"))
	r.must(err)
	if inner, _, _ := r.receive(); !bytes.HasSuffix(inner, []byte("marker")) {
		t.Errorf("the AFTR received % x, want the marker only", inner)
	}
	if got := r.tunnel.Stats().Outbound[encap.OutsidePortSet]; got != 1 {
		t.Errorf("%d packets counted as outside the port set, want 1", got)
	}
}

func TestInbound(t *testing.T) {
	r := newRig(t)
	r.start()
	conn, foreign := r.socket(ourPort), r.socket(foreignPort)
	r.send(r.fromBR, udp(foreignPort, 0, "never"), 0)
	r.send(r.fromOther, udp(ourPort, 0, "spoofed"), 0)
	const ect0, ce = 2, 3
	r.send(r.fromBR, udp(ourPort, 0, "congested"), ce)
	r.send(r.fromBR, udp(ourPort, ect0, "in"), ce)
	r.await(conn, "in")
	stats := r.tunnel.Stats()
	for verdict, want := range map[encap.Verdict]uint64{
		encap.OutsidePortSet: 1, encap.Congested: 1, encap.Pass: 1,
		// The kernel keeps what is not from the BR address from the socket.
		encap.OuterSource: 0,
	} {
		if stats.Inbound[verdict] != want {
			t.Errorf("%d packets counted as %s, want %d", stats.Inbound[verdict], verdict, want)
		}
	}
	r.must(foreign.SetReadDeadline(time.Unix(1, 0)))
	if n, err := foreign.Read(make([]byte, 10)); err == nil {
		t.Errorf("%d octets reached another subscriber's port", n)
	}
}

func TestFragmentedOuterPackets(t *testing.T) {
	r := newRig(t)
	r.start()
	conn := r.socket(ourPort)
	// In: the AFTR's kernel fragments the outer packet.
	in := strings.Repeat("i", 4000)
	r.send(r.fromBR, udp(ourPort, 0, in), 0)
	r.await(conn, in)
	// Out: 1,500 octets without DF fit the device and not the path, so the
	// outer packet is fragmented, and the AFTR's kernel reassembles it.
	r.must(setDF(conn, unix.IP_PMTUDISC_DONT))
	_, err := conn.Write(bytes.Repeat([]byte("o"), 1472))
	r.must(err)
	if inner, _, _ := r.receive(); len(inner) != 1500 {
		t.Errorf("the AFTR received %d octets, want 1500", len(inner))
	}
}

func setDF(conn *net.UDPConn, mode int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_MTU_DISCOVER, mode)
	})
	return errors.Join(err, failed)
}

// TestICMPv6ErrorStopsNothing takes the AFTR's address away, so that its kernel
// answers with errors.
func TestICMPv6ErrorStopsNothing(t *testing.T) {
	r := newRig(t)
	r.start()
	conn := r.socket(ourPort)
	r.closeRaw(r.fromBR) // nobody listens for the protocol any more
	for r.tunnel.Stats().Inbound[encap.Refused] == 0 {
		_, err := conn.Write([]byte("refused"))
		r.must(err)
	}
	r.fromBR = r.raw(br)
	r.send(r.fromBR, udp(ourPort, 0, "in"), 0)
	r.await(conn, "in")
}

// TestPathMTUIsLearned narrows the path behind the first router: its error must
// become one for the sender of the inner packet.
func TestPathMTUIsLearned(t *testing.T) {
	r := newRig(t)
	r.start()
	conn := r.socket(ourPort)
	r.must(setDF(conn, unix.IP_PMTUDISC_DO))
	// 1,500 octets do not fit 1,500 with a header more.
	r.probe(conn, 1472, 1460)
	r.must(r.router.SetMTU("aftr", 1400))
	r.probe(conn, 1432, 1360)
	if got := r.tunnel.mtu.Load(); got != 1400 {
		t.Errorf("the tunnel's path MTU is %d, want 1400", got)
	}
	// Without DF the outer packet is fragmented to the new size. INTERFACE keeps
	// the sender's kernel from using what it has just learned.
	r.must(setDF(conn, unix.IP_PMTUDISC_INTERFACE))
	_, err := conn.Write(make([]byte, 1432))
	r.must(err)
	for {
		if inner, _, _ := r.receive(); len(inner) == 1460 {
			return
		}
	}
}

// probe sends datagrams with DF until the kernel knows what fits.
func (r *rig) probe(conn *net.UDPConn, size, want int) {
	r.Helper()
	raw, err := conn.SyscallConn()
	r.must(err)
	for deadline := time.Now().Add(patient); ; {
		_, err := conn.Write(make([]byte, size))
		if err != nil && !errors.Is(err, unix.EMSGSIZE) {
			r.Fatal(err)
		}
		// An ICMP error ends the wait.
		r.must(conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)))
		_, _ = conn.Read(make([]byte, 1))
		mtu := 0
		r.must(raw.Control(func(fd uintptr) { mtu, err = unix.GetsockoptInt(int(fd), unix.SOL_IP, unix.IP_MTU) }))
		r.must(err)
		if mtu == want {
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("the sender's path MTU is %d, want %d", mtu, want)
		}
	}
}

func TestDeviceGoesWithTunnel(t *testing.T) {
	r := newRig(t)
	before := descriptors(t)
	for range 20 {
		r.start()
		r.end()
	}
	names, err := r.cpe.Interfaces()
	r.must(err)
	for _, name := range names {
		if name == config().Name {
			t.Error("the device is left")
		}
	}
	if after := descriptors(t); after > before+2 {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

func TestSecondDefaultRouteIsRefused(t *testing.T) {
	r := newRig(t)
	r.must(r.cpe.Address("wan", netip.MustParsePrefix("198.51.100.1/24")))
	r.must(r.cpe.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("198.51.100.2")))
	err := r.cpe.Do(func() error {
		tunnel, err := OpenUser(config(), quiet())
		if err == nil {
			return tunnel.Close()
		}
		return err
	})
	if !errors.Is(err, unix.EEXIST) {
		t.Errorf("opened with %v, want that there is another default route", err)
	}
}

func TestUnreachableAFTRIsNamed(t *testing.T) {
	r := newRig(t)
	r.must(r.cpe.SetUp("wan", false))
	err := r.cpe.Do(func() error {
		_, err := OpenUser(config(), quiet())
		return err
	})
	if err == nil || !strings.Contains(err.Error(), br.String()) {
		t.Errorf("opened with %v, want the BR address named", err)
	}
}

// TestKernelTunnel needs a kernel with ip6_tunnel; where there is none it
// checks that this is said.
func TestKernelTunnel(t *testing.T) {
	r := newRig(t)
	var k *Kernel
	err := r.cpe.Do(func() (err error) {
		k, err = OpenKernel(config())
		return err
	})
	if errors.Is(err, ErrNoKernelTunnel) {
		t.Skipf("only the probe was tested: %v", err)
	}
	r.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.must(k.Run(ctx))
	conn := r.socket(ourPort)
	_, err = conn.Write([]byte("out"))
	r.must(err)
	if inner, _, from := r.receive(); from != b4 || !bytes.HasSuffix(inner, []byte("out")) {
		t.Errorf("the AFTR received % x from %s", inner, from)
	}
	r.send(r.fromBR, udp(ourPort, 0, "in"), 0)
	r.await(conn, "in")
	r.must(k.Close())
	r.must(k.Close())
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no name":     func(c *Config) { c.Name = "" },
		"long name":   func(c *Config) { c.Name = "a-name-too-long-" },
		"small MTU":   func(c *Config) { c.MTU = 1279 },
		"large MTU":   func(c *Config) { c.MTU = 65536 },
		"hop limit":   func(c *Config) { c.HopLimit = 0 },
		"no softwire": func(c *Config) { c.Ends.BR = netip.Addr{} },
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			change(&c)
			if c.Validate() == nil {
				t.Error("accepted")
			}
			if u, err := OpenUser(c, quiet()); err == nil {
				u.release()
				t.Error("opened for user space")
			}
			if k, err := OpenKernel(c); err == nil {
				_ = k.Close()
				t.Error("opened in the kernel")
			}
		})
	}
}

func TestLimiter(t *testing.T) {
	var l limiter
	now := time.Unix(1000, 0)
	allowed := 0
	for range 3 * errorsPerSecond {
		if l.allow(now) {
			allowed++
		}
	}
	if allowed != errorsPerSecond {
		t.Errorf("%d errors in one second, want %d", allowed, errorsPerSecond)
	}
	if !l.allow(now.Add(time.Second)) {
		t.Error("none in the next second")
	}
}
