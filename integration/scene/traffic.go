package scene

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/probe"
)

// Sizes of what is transferred, in bytes.
const (
	fileSize   = 100_000_000
	uploadSize = 20_000_000
)

func ping(ctx context.Context, s *Scene) (string, error) {
	var seen []string
	for i, host := range s.Hosts {
		p, err := probe.Ping(ctx, host, ServerAddr, 3, 56)
		if err != nil {
			return "", err
		}
		if p.Received != p.Sent {
			return "", fmt.Errorf("%s: %s", host, p)
		}
		seen = append(seen, fmt.Sprintf("host%d: %s", i+1, p))
	}
	return strings.Join(seen, "; "), nil
}

func udpEcho(ctx context.Context, s *Scene) (string, error) {
	for _, host := range s.Hosts {
		if _, err := exchange(ctx, host, s.Echo(), []byte("a datagram of "+host.String())); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("both hosts heard themselves from %s", s.Echo()), nil
}

// exchange has one datagram echoed.
func exchange(ctx context.Context, from *netlab.Namespace, to netip.AddrPort, payload []byte) (probe.Received, error) {
	d, err := probe.OpenDatagram(from, netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	if err != nil {
		return probe.Received{}, err
	}
	defer d.Close()
	r, err := d.Exchange(ctx, to, 0, payload)
	if err != nil {
		return probe.Received{}, fmt.Errorf("%s: echo of %s: %w", from, to, err)
	}
	return r, nil
}

func traceroute(ctx context.Context, s *Scene) (string, error) {
	hops, err := probe.Traceroute(ctx, s.Hosts[0], ServerAddr, 10)
	if err != nil {
		return "", err
	}
	var way []string
	found, last := false, netip.Addr{}
	for _, h := range hops {
		way = append(way, h.String())
		found = found || h.From == RouterAddr
		last = h.From
	}
	seen := strings.Join(way, " > ")
	switch {
	case !found:
		return "", fmt.Errorf("the AFTR's address %s is not on the way %s", RouterAddr, seen)
	case last != ServerAddr:
		return "", fmt.Errorf("the way %s does not end at %s", seen, ServerAddr)
	}
	return seen, nil
}

func download(ctx context.Context, s *Scene) (string, error) {
	t, err := probe.Download(ctx, s.Hosts[0], s.File(), fileSize)
	return t.String(), err
}

func upload(ctx context.Context, s *Scene) (string, error) {
	t, err := probe.Upload(ctx, s.Hosts[0], s.File(), uploadSize)
	return t.String(), err
}

// hairpin reaches the services of one subscriber from the LAN of the other, at
// their shared address.
func hairpin(ctx context.Context, s *Scene) (string, error) {
	before, err := s.client.Counters(ctx)
	if err != nil {
		return "", err
	}
	from, to := s.Hosts[0], s.Subscribers[1]
	file := to.Service(to.FilePort)
	t, err := probe.Download(ctx, from, file.String(), uploadSize)
	if err != nil {
		return "", err
	}
	if _, err := exchange(ctx, from, to.Service(to.EchoPort), []byte("around")); err != nil {
		return "", err
	}
	after, err := s.client.Counters(ctx)
	if err != nil {
		return "", err
	}
	packets := after.Hairpinned.Packets - before.Hairpinned.Packets
	if packets == 0 {
		return "", fmt.Errorf("%s was reached, but nothing is counted as hairpinned", file)
	}
	return fmt.Sprintf("host1 from %s: %s; %d packets turned at the AFTR", file, t, packets), nil
}
