package bgp

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"
)

// TestSessionLost: when a session with graceful restart breaks, the next OPEN says
// that packets were forwarded all along, so that the peer keeps its routes.
func TestSessionLost(t *testing.T) {
	t.Parallel()
	here, there := twoNodes(t)
	var listener net.Listener
	must(t, there.Do(func() (err error) {
		listener, err = net.Listen("tcp", upstream4+":1790")
		return err
	}))
	defer listener.Close()
	ipv4, as4 := capabilities()
	// RFC 4724 section 3: 120 s, and IPv4 unicast.
	restart := []byte{64, 6, 0, 120, 0, 1, 1, 0}
	open := openMessage(slices.Concat(ipv4, as4, restart)...)
	var opens [][]byte
	var peer errgroup.Group
	peer.Go(func() error {
		for range 2 {
			conn, err := listener.Accept()
			if err != nil {
				return err
			}
			kind, body, err := readMessage(conn)
			if err != nil || kind != typeOpen {
				return fmt.Errorf("message %d: %w", kind, err)
			}
			opens = append(opens, body)
			if err := errors.Join(confirm(conn, open), untilRoute(conn), conn.Close()); err != nil {
				return err
			}
		}
		return nil
	})
	r := startRouter(t, here, upstream(64500, `
      address: 198.51.100.2
      as: 64501
      port: 1790
      families: [ipv4]
      graceful-restart: 120s`))
	r.announce(t, route(home, "home"))
	must(t, peer.Wait())
	for i, flags := range []byte{0, 0x80} {
		// The restart state bit, and for IPv4 unicast the forwarding state bit.
		want := []byte{64, 6, flags, 120, 0, 1, 1, flags}
		if !bytes.Contains(opens[i], want) {
			t.Errorf("OPEN %d is %x, without %x", i+1, opens[i], want)
		}
	}
}
