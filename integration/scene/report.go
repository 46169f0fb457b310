package scene

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"github.com/lwaftr/lw4o6/integration/netlab"
	"github.com/lwaftr/lw4o6/integration/probe"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// WriteTable prints the binding table as the lwAFTR has it, with the traffic of
// each softwire.
func (s *Scene) WriteTable(ctx context.Context, out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "IPv4 address\tPSID\tports\tlwB4\tBR address\tpackets to lwB4\tfrom lwB4")
	for row, err := range s.client.Softwires(ctx, api.SoftwireFilter{Counters: true}) {
		if err != nil {
			return err
		}
		w, err := row.Softwire()
		if err != nil {
			return err
		}
		ports := fmt.Sprintf("%d", w.PortSet.Count())
		for r := range w.PortSet.Ranges() {
			ports += " from " + r.String()
			break
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\n",
			w.IPv4, w.PortSet, ports, w.B4, w.BR, packets(row.ToB4), packets(row.FromB4))
	}
	return t.Flush()
}

func packets(t *api.Traffic) uint64 {
	if t == nil {
		return 0
	}
	return t.Packets
}

// WriteCounters prints the lwAFTR's counters that are not zero.
func (s *Scene) WriteCounters(ctx context.Context, out io.Writer) error {
	c, err := s.client.Counters(ctx)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range []struct {
		name string
		api.Traffic
	}{
		{"encapsulated", c.Encapsulated}, {"decapsulated", c.Decapsulated}, {"hairpinned", c.Hairpinned},
	} {
		fmt.Fprintf(t, "%d\tpackets\t%d\tbytes\t\t %s\n", row.Packets, row.Bytes, row.name)
	}
	for _, e := range c.Events {
		if e.Packets > 0 {
			fmt.Fprintf(t, "%d\tpackets\t\t\t\t %s\n", e.Packets, e.Name)
		}
	}
	return t.Flush()
}

// WriteCapture prints the packets of one ping and one datagram as they pass the
// access network and then the Internet.
func (s *Scene) WriteCapture(ctx context.Context, out io.Writer) error {
	access, err := s.Access.Capture(AccessAFTR)
	if err != nil {
		return err
	}
	defer access.Close()
	internet, err := s.Internet.Capture(InternetUplink)
	if err != nil {
		return err
	}
	defer internet.Close()
	if _, err := probe.Ping(ctx, s.Hosts[0], ServerAddr, 1, 56); err != nil {
		return err
	}
	if _, err := exchange(ctx, s.Hosts[1], s.Echo(), []byte("captured")); err != nil {
		return err
	}
	for _, side := range []struct {
		name string
		wire *netlab.Capture
	}{{"access network", access}, {"Internet", internet}} {
		frames, err := side.wire.Drain()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s:\n", side.name)
		for _, f := range frames {
			if p := f.Packet(); ofSubscribers(p) {
				fmt.Fprintf(out, "  %s\n", probe.Describe(p))
			}
		}
	}
	return nil
}

// ofSubscribers reports whether a packet is a subscriber's IPv4, in a softwire
// or bare, and not the links' own.
func ofSubscribers(p []byte) bool {
	return len(p) > 0 && p[0]>>4 == 4 || len(p) > 6 && p[0]>>4 == 6 && p[6] == unix.IPPROTO_IPIP
}
