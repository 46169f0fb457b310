package scene

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/probe"
)

// Sizes of packets in octets.
const (
	linkMTU     = netlab.DefaultMTU
	narrowMTU   = 1400
	outerHeader = 40
	longPayload = 4000 // of a datagram that no link carries whole
)

// pathMTU expects that the softwire's overhead is told to senders on both sides
// of it: by the CPE to the LAN and by the AFTR to the Internet.
func pathMTU(ctx context.Context, s *Scene) (string, error) {
	sub := s.Subscribers[0]
	service := sub.Service(sub.EchoPort)
	if err := expectMTU(ctx, s.Hosts[0], s.Echo(), linkMTU-outerHeader); err != nil {
		return "", err
	}
	if err := expectMTU(ctx, s.Internet, service, linkMTU-outerHeader); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d octets with DF: both sides learn that %d fit", linkMTU, linkMTU-outerHeader), nil
}

func expectMTU(ctx context.Context, from *netlab.Namespace, to netip.AddrPort, want int) error {
	mtu, err := probe.PathMTU(ctx, from, to, linkMTU)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if mtu != want {
		return fmt.Errorf("%s learned that %d octets fit on the way to %s, want %d", from, mtu, to, want)
	}
	return nil
}

// longDatagrams sends what has to be fragmented, both ways from either end.
func longDatagrams(ctx context.Context, s *Scene) (string, error) {
	payload := bytes.Repeat([]byte("0123456789"), longPayload/10)
	sub := s.Subscribers[1]
	service := sub.Service(sub.EchoPort)
	if _, err := exchange(ctx, s.Hosts[0], s.Echo(), payload); err != nil {
		return "", err
	}
	if _, err := exchange(ctx, s.Internet, service, payload); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d octets came back to host1 and to the Internet", longPayload), nil
}

// tooBig narrows the way behind the AFTR. The access router's ICMPv6 error must
// become the right ICMPv4 error for the sender in the Internet.
func tooBig(ctx context.Context, s *Scene) (evidence string, err error) {
	sub := s.Subscribers[1]
	if err := s.Access.SetIPv6MTU(AccessCPE(sub.Number), narrowMTU); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Access.SetIPv6MTU(AccessCPE(sub.Number), linkMTU)) }()
	access, err := s.Access.Capture(AccessAFTR)
	if err != nil {
		return "", err
	}
	defer access.Close()
	internet, err := s.Internet.Capture(InternetUplink)
	if err != nil {
		return "", err
	}
	defer internet.Close()
	const want = narrowMTU - outerHeader
	if err := expectPath(ctx, s.Internet, sub.Service(sub.EchoPort), want); err != nil {
		return "", err
	}
	packetTooBig := func(p []byte) bool {
		return len(p) >= 48 && p[0]>>4 == 6 && p[6] == unix.IPPROTO_ICMPV6 && p[40] == 2 &&
			binary.BigEndian.Uint32(p[44:]) == narrowMTU
	}
	fragmentationNeeded := func(p []byte) bool {
		return len(p) >= 28 && p[0] == 0x45 && p[9] == unix.IPPROTO_ICMP && p[20] == 3 && p[21] == 4 &&
			netip.AddrFrom4([4]byte(p[12:])) == RouterAddr && binary.BigEndian.Uint16(p[26:]) == want
	}
	if err := expectPacket(access, packetTooBig, "ICMPv6 packet too big from the access router"); err != nil {
		return "", err
	}
	if err := expectPacket(internet, fragmentationNeeded, "ICMPv4 fragmentation needed from the AFTR"); err != nil {
		return "", err
	}
	return fmt.Sprintf("ICMPv6 type 2 with MTU %d became ICMPv4 3/4 with MTU %d", narrowMTU, want), nil
}

// expectPath is expectMTU for a path whose MTU shrinks in steps.
func expectPath(ctx context.Context, from *netlab.Namespace, to netip.AddrPort, want int) error {
	for size := linkMTU; ; {
		mtu, err := probe.PathMTU(ctx, from, to, size)
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		switch {
		case mtu == want:
			return nil
		case mtu < want || mtu == size:
			return fmt.Errorf("%s learned that %d octets fit on the way to %s, want %d", from, mtu, to, want)
		}
		size = mtu
	}
}

// expectPacket looks for a packet among those that were captured.
func expectPacket(c *netlab.Capture, match func([]byte) bool, what string) error {
	frames, err := c.Drain()
	if err != nil {
		return err
	}
	for _, f := range frames {
		if match(f.Packet()) {
			return nil
		}
	}
	return fmt.Errorf("none of %d captured frames is the %s", len(frames), what)
}
