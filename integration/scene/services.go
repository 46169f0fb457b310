package scene

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// openServices has a subscriber's host ask its CPE by PCP for ports of its services:
// which ports there are nobody knows before the CPE has its softwire.
func (s *Scene) openServices(ctx context.Context, sub *Subscriber) (err error) {
	var conn net.PacketConn
	err = s.Hosts[sub.Number-1].Do(func() (err error) {
		conn, err = client.ListenFrom(ctx, sub.Host)
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	c, err := client.New(conn, client.Config{Servers: []netip.AddrPort{netip.AddrPortFrom(sub.Gateway, pcpmsg.ServerPort)}})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error { return c.Run(running) })
	defer func() { stop(); err = errors.Join(err, group.Wait()) }()
	for _, service := range []struct {
		protocol uint8
		internal uint16
		external *uint16
	}{{unix.IPPROTO_TCP, filePort, &sub.FilePort}, {unix.IPPROTO_UDP, echoPort, &sub.EchoPort}} {
		grant, err := c.Request(ctx, client.Want{
			Nonce: client.NewNonce(), Protocol: service.protocol, InternalPort: service.internal, Lifetime: time.Hour,
		})
		if err != nil {
			return fmt.Errorf("host%d asks for a port: %w", sub.Number, err)
		}
		*service.external = grant.ExternalPort
	}
	return nil
}
