package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

func newTrace() *cobra.Command {
	var t target
	var as format
	var d description
	var hexText string
	var offline, dump bool
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "explain what would happen to a packet",
		Long: "Trace asks the running router what it would do with a packet, and why. Nothing is sent or\n" +
			"counted. The packet is described by flags, or given whole with --hex from the outer IP\n" +
			"header on. From the IPv6 side it is an IPv4 packet in an IPv6 one: the --inner flags are\n" +
			"about the IPv4 packet on either side. With --offline the configuration named by -c is\n" +
			"asked in place of a running router.",
		Example: "  lwaftr trace --side ipv4 --inner-src 203.0.113.9 --inner-dst 192.0.2.1 --proto tcp --sport 443 --dport 1500\n" +
			"  lwaftr trace --side ipv6 --outer-src 2001:db8::1 --outer-dst 2001:db8:ffff::1 \\\n" +
			"      --inner-src 192.0.2.1 --inner-dst 203.0.113.9 --proto udp --sport 1500 --dport 53\n" +
			"  lwaftr trace --side ipv4 --hex 4500001c00000000401100000a000001c0000201...\n" +
			"  lwaftr trace --offline -c lwaftr.yaml --side ipv4 --inner-src 203.0.113.9 --inner-dst 192.0.2.1 --proto icmp --id 1500",
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			side, packet, err := tracedPacket(cmd, d, hexText)
			if err != nil {
				return err
			}
			show := func(trace api.Trace) error { return printTrace(cmd.OutOrStdout(), trace, as, dump) }
			if offline {
				return traceOffline(cmd.Context(), t.path, side, packet, show)
			}
			return t.call(cmd.Context(), func(ctx context.Context, c *api.Client) error {
				trace, err := c.Trace(ctx, api.TraceRequest{Side: side.String(), Packet: packet})
				if err != nil {
					return err
				}
				return show(trace)
			})
		}),
	}
	t.flags(cmd, 30*time.Second)
	f := cmd.Flags()
	f.VarP(&as, "output", "o", "`FORMAT`: table or json")
	f.StringVar(&d.side, "side", "", "where the packet comes from: `SIDE` ipv4 or ipv6; by --outer-src if left out")
	f.StringVar(&d.outerSrc, "outer-src", "", "outer IPv6 source `ADDRESS`: the lwB4")
	f.StringVar(&d.outerDst, "outer-dst", "", "outer IPv6 destination `ADDRESS`: the BR address")
	f.StringVar(&d.innerSrc, "inner-src", "", "IPv4 source `ADDRESS`")
	f.StringVar(&d.innerDst, "inner-dst", "", "IPv4 destination `ADDRESS`")
	f.StringVar(&d.proto, "proto", "udp", "`PROTOCOL`: tcp, udp, icmp (an echo request) or a number")
	f.Uint16Var(&d.sport, "sport", 0, "source `PORT`")
	f.Uint16Var(&d.dport, "dport", 0, "destination `PORT`")
	f.Uint16Var(&d.id, "id", 0, "identifier of an ICMP echo request, a `NUMBER`")
	f.Uint8Var(&d.tos, "tos", 0, "traffic class of both headers, a `NUMBER`")
	f.Uint8Var(&d.ttl, "ttl", 64, "TTL of the IPv4 packet, a `NUMBER`")
	f.Uint16Var(&d.length, "length", 0, "total length of the IPv4 packet, a `NUMBER` of octets; 0 for the least")
	f.BoolVar(&d.df, "df", false, "set \"don't fragment\"")
	f.StringVar(&hexText, "hex", "", "the whole packet as `HEX` digits")
	f.BoolVar(&offline, "offline", false, "ask the configuration named by -c, not a running router")
	f.BoolVarP(&dump, "dump", "x", false, "print what would be sent in hexadecimal")
	return cmd
}

// tracedPacket is the packet that the flags give.
func tracedPacket(cmd *cobra.Command, d description, hexText string) (dataplane.Side, []byte, error) {
	side, err := d.parseSide()
	if err != nil {
		return side, nil, err
	}
	if hexText == "" {
		packet, err := d.packet(side)
		return side, packet, err
	}
	for _, name := range []string{"outer-src", "outer-dst", "inner-src", "inner-dst", "proto", "sport", "dport", "id", "tos", "ttl", "length", "df"} {
		if cmd.Flags().Changed(name) {
			return side, nil, usagef("--%s has no meaning with --hex", name)
		}
	}
	packet, err := hex.DecodeString(strings.Join(strings.Fields(hexText), ""))
	if err != nil || len(packet) > api.MaxPacket {
		return side, nil, usagef("--hex: want an even number of hexadecimal digits for at most %d octets", api.MaxPacket)
	}
	return side, packet, nil
}

func traceOffline(ctx context.Context, path string, side dataplane.Side, packet []byte, show func(api.Trace) error) error {
	if path == "" {
		return usagef("--offline needs -c")
	}
	f, err := plugin.LoadFile(path)
	if err != nil {
		return err
	}
	trace, err := f.Trace(ctx, time.Now(), side, packet)
	if err != nil {
		return err
	}
	return show(trace)
}

func printTrace(w io.Writer, t api.Trace, as format, dump bool) error {
	if as == formatJSON {
		return printJSON(w, t)
	}
	for i, step := range t.Steps {
		if _, err := fmt.Fprintf(w, "%2d. %s\n", i+1, step); err != nil {
			return err
		}
	}
	if !dump {
		return nil
	}
	for _, p := range t.Sent {
		if _, err := fmt.Fprintf(w, "\nto the %s side:\n%s", p.Side, hex.Dump(p.Packet)); err != nil {
			return err
		}
	}
	return nil
}
