package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Listen opens a socket for a client of server, on the address that the host
// sends from to it, which RFC 6887 section 16.4 wants in each request, and a
// port of the system's choice. The caller closes it. It does not follow when the
// host's address changes.
func Listen(ctx context.Context, server netip.AddrPort) (net.PacketConn, error) {
	route, err := new(net.Dialer).DialContext(ctx, "udp", server.String())
	if err != nil {
		return nil, fmt.Errorf("%w to %s: %w", ErrAddress, server, err)
	}
	local, _ := addrPort(route.LocalAddr())
	if err := route.Close(); err != nil {
		return nil, fmt.Errorf("%w to %s: %w", ErrAddress, server, err)
	}
	return ListenFrom(ctx, local.Addr())
}

// ListenFrom opens a socket on an address of the host and a port of the system's
// choice. The caller closes it.
func ListenFrom(ctx context.Context, address netip.Addr) (net.PacketConn, error) {
	config := net.ListenConfig{Control: askForReports}
	opened, err := config.ListenPacket(ctx, "udp", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	conn := opened.(*net.UDPConn) // of network udp
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrAddress, err), conn.Close())
	}
	return &socket{conn, raw}, nil
}
