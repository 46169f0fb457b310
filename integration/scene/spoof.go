package scene

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/lwaftr/lw4o6/integration/probe"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// unused is an address of the pool that no softwire is on.
var unused = netip.MustParseAddr("192.0.2.200")

// forged marks the datagrams of attackers.
const forged = "forged datagram"

// attempts is how many datagrams of each kind an attacker sends.
const attempts = 10

// forgery is one kind of packet that must not get through.
type forgery struct {
	what  string
	event string // the counter of package forwarder
	outer netip.Addr
	inner netip.AddrPort
}

// spoofedInner sends, from the CPE of subscriber 1 and with its right outer
// source, what is not subscriber 1's.
func spoofedInner(ctx context.Context, s *Scene) (string, error) {
	own, other := s.Subscribers[0].Softwire, s.Subscribers[1].Softwire
	forgeries := []forgery{
		{"the other subscriber's port", "drop-outer-source", own.B4, aPort(other)},
		{"an address without softwires", "drop-inner-source", own.B4, netip.AddrPortFrom(unused, 2000)},
	}
	if port, ok := unbound(own, other); ok {
		forgeries = append(forgeries, forgery{"a port of nobody", "drop-inner-port", own.B4, port})
	}
	return s.attack(ctx, forgeries)
}

// spoofedOuter sends, with subscriber 1's address and port, what does not come
// from subscriber 1's lwB4.
func spoofedOuter(ctx context.Context, s *Scene) (string, error) {
	inner := aPort(s.Subscribers[0].Softwire)
	return s.attack(ctx, []forgery{
		{"the other lwB4", "drop-outer-source", s.Subscribers[1].Softwire.B4, inner},
		{"an unknown IPv6 address", "drop-outer-source", netip.MustParseAddr("2001:db8:bad::1"), inner},
	})
}

// aPort is an address and port that a softwire has.
func aPort(s softwire.Softwire) netip.AddrPort {
	port := uint16(0)
	for r := range s.PortSet.Ranges() {
		port = r.Last
	}
	return netip.AddrPortFrom(s.IPv4, port)
}

// unbound is a port of a shared address that neither softwire has.
func unbound(a, b softwire.Softwire) (netip.AddrPort, bool) {
	for port := uint16(1); port != 0; port++ {
		if !a.PortSet.Contains(port) && !b.PortSet.Contains(port) {
			return netip.AddrPortFrom(a.IPv4, port), true
		}
	}
	return netip.AddrPort{}, false
}

// attack sends forgeries from a subscriber's CPE. All must be dropped and
// counted, and none may reach the Internet.
func (s *Scene) attack(ctx context.Context, forgeries []forgery) (string, error) {
	wire, err := s.Internet.Capture(InternetUplink)
	if err != nil {
		return "", err
	}
	defer wire.Close()
	var seen []string
	for _, f := range forgeries {
		before, err := s.client.Counters(ctx)
		if err != nil {
			return "", err
		}
		packet := probe.Encapsulate(f.outer, BR, probe.UDP4(f.inner, s.Echo(), []byte(forged)))
		for range attempts {
			if err := probe.SendIPv6(s.CPEs[0], packet); err != nil {
				return "", err
			}
		}
		// What is honest takes the same way. Forgeries that got through are on
		// the wire before it, unless another queue has them; those are still
		// missing from the counters.
		if _, err := exchange(ctx, s.Hosts[0], s.Echo(), []byte("honest datagram")); err != nil {
			return "", err
		}
		counter := s.counter(f)
		if err := s.awaitEvents(ctx, counter, event(before, counter)+attempts); err != nil {
			return "", fmt.Errorf("%s: %w", f.what, err)
		}
		seen = append(seen, fmt.Sprintf("%s: %d %s", f.what, attempts, counter))
	}
	frames, err := wire.Drain()
	if err != nil {
		return "", err
	}
	honest := 0
	for _, frame := range frames {
		if bytes.Contains(frame.Data, []byte(forged)) {
			return "", fmt.Errorf("the Internet received %s", probe.Describe(frame.Packet()))
		}
		if bytes.Contains(frame.Data, []byte("honest datagram")) {
			honest++
		}
	}
	if honest == 0 {
		return "", fmt.Errorf("the capture of %d frames holds no honest datagram either", len(frames))
	}
	return strings.Join(seen, "; "), nil
}

// counter is what counts a forgery. VPP has one counter for everything that a
// softwire does not allow. Ports that no softwire can have it hands over.
func (s *Scene) counter(f forgery) string {
	_, possible := s.options.Params.PSID(f.inner.Port())
	if s.options.VPP != "" && possible {
		return "drop-softwire-check"
	}
	return f.event
}

// settle is how long counters may lag behind packets.
const settle = 5 * time.Second

// awaitEvents waits for a counter to reach a value. It must not exceed it.
func (s *Scene) awaitEvents(ctx context.Context, name string, want uint64) error {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := s.client.Counters(ctx)
		if err != nil {
			return err
		}
		n := event(c, name)
		if n == want {
			return nil
		}
		if n < want {
			select {
			case <-tick.C:
				continue
			case <-ctx.Done():
			}
		}
		return fmt.Errorf("%s counts %d packets and not %d", name, n, want)
	}
}

// event is how many packets a counter has, 0 if there is none of that name.
func event(c api.Counters, name string) uint64 {
	for _, e := range c.Events {
		if e.Name == name {
			return e.Packets
		}
	}
	return 0
}
