package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// PathMTU does path MTU discovery (RFC 1191): it sends datagrams of size octets,
// headers included, with DF set, until ICMP has told the node's kernel that less
// fits, and returns what it then believes to fit. It returns size if echo, an
// echo of datagrams, answers one.
func PathMTU(ctx context.Context, n Node, echo netip.AddrPort, size int) (int, error) {
	c, err := Dial(ctx, n, "udp4", echo.String())
	if err != nil {
		return 0, err
	}
	conn := c.(*net.UDPConn)
	defer conn.Close()
	if err := setOption(conn, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO); err != nil {
		return 0, err
	}
	const headers = 20 + 8
	buf := make([]byte, size)
	for ctx.Err() == nil {
		_, err := conn.Write(buf[:size-headers])
		if err == nil {
			if err := conn.SetReadDeadline(time.Now().Add(retry / 10)); err != nil {
				return 0, err
			}
			_, err = conn.Read(buf)
			if err == nil {
				return size, nil
			}
		}
		if err != nil && !errors.Is(err, unix.EMSGSIZE) && !isTimeout(err) {
			return 0, fmt.Errorf("path MTU to %s: %w", echo, err)
		}
		mtu, err := getOption(conn, unix.IP_MTU)
		if err != nil {
			return 0, err
		}
		if mtu < size {
			return mtu, nil
		}
	}
	return 0, fmt.Errorf("path MTU to %s: neither an answer nor an ICMP error: %w", echo, ctx.Err())
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
