package listen

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// link has the test in a network namespace of its own, with two devices that are
// joined, server0 and client0.
func link(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("root is missing: a network namespace is needed")
	}
	// The thread ends with the test, and the namespace with its last thread and socket.
	runtime.LockOSThread()
	own, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	own.Close()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "server0"}, PeerName: "client0"}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{"lo": "", "server0": "2001:db8::547/64", "client0": "2001:db8::1/64"} {
		device, err := netlink.LinkByName(name)
		if err == nil && address != "" {
			var a *netlink.Addr
			if a, err = netlink.ParseAddr(address); err == nil {
				a.Flags = 0x02 // IFA_F_NODAD
				err = netlink.AddrAdd(device, a)
			}
		}
		if err == nil {
			err = netlink.LinkSetUp(device)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	// The kernel finds out by itself that both ends are up, and has routes then.
	for deadline := time.Now().Add(20 * time.Second); !up(t, "client0") || !up(t, "server0"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the link does not come up")
		}
	}
}

func up(t *testing.T, name string) bool {
	t.Helper()
	device, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return device.Attrs().OperState == netlink.OperUp
}

// serve has what arrives answered with the device and the datagram until the test
// ends.
func serve(t *testing.T, c Config) {
	t.Helper()
	s, err := Open(t.Context(), c, Port)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, 2, func(_ context.Context, device string, datagram []byte) []byte {
			if string(datagram) == "nothing" {
				return nil
			}
			return []byte(device + ": " + string(datagram))
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.Close()
	})
}

// ask sends to an address and returns what is answered, and from where.
func ask(t *testing.T, from, to string, texts ...string) (string, netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenPacket("udp6", from)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	server, err := net.ResolveUDPAddr("udp6", to)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if _, err := conn.WriteTo([]byte(text), server); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 100)
	n, peer, err := conn.ReadFrom(answer)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer[:n]), peer.(*net.UDPAddr).AddrPort()
}

// TestSockets: a client's multicast is heard on the device, a relay's message at the
// address, side by side, and answers leave from there.
func TestSockets(t *testing.T) {
	link(t)
	serve(t, Config{Interface: "server0"})
	serve(t, Config{Address: netip.MustParseAddr("2001:db8::547")})
	if got, from := ask(t, "[2001:db8::1]:546", "[ff02::1:2%client0]:547", "nothing", "hello"); got != "server0: hello" || from.Port() != Port {
		t.Errorf("a client is answered %q from %s", got, from)
	}
	// What is not of a relay agent is not looked at there.
	if got, from := ask(t, "[::1]:0", "[2001:db8::547]:547", "hello", "\x0crelayed"); got != ": \x0crelayed" || from != netip.MustParseAddrPort("[2001:db8::547]:547") {
		t.Errorf("a relay is answered %q from %s", got, from)
	}
}

// TestOpenRefuses: the error says what cannot be had.
func TestOpenRefuses(t *testing.T) {
	for want, c := range map[string]Config{
		"nobody0":       {Interface: "nobody0"},
		"2001:db8::404": {Address: netip.MustParseAddr("2001:db8::404")},
	} {
		if s, err := Open(t.Context(), c, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", want, s, err)
		}
	}
}

// TestValidate: what cannot be listened at is refused.
func TestValidate(t *testing.T) {
	for address, good := range map[string]bool{
		"2001:db8::547": true, "::1": true, "::": false, "ff02::1:2": false, "fe80::1": false, "192.0.2.1": false, "::ffff:192.0.2.1": false,
	} {
		if err := (Config{Address: netip.MustParseAddr(address)}).Validate(); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := (Config{}).Validate(); err == nil {
		t.Error("nothing is accepted")
	}
	if err := (Config{Interface: "eth0"}).Validate(); err != nil {
		t.Error(err)
	}
}
