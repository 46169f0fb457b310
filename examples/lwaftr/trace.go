package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin/control/api"
)

func traceCommand() *cobra.Command {
	var a asking
	var o output
	var p packetFlags
	var side, dump string
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Show what would happen to a packet, and why",
		Long: `trace asks the router what it would do with one packet, step by step. Nothing is
sent or counted. The packet is described by flags, or given whole in hex, from
the outer IP header on. With --outer-src and --outer-dst the described IPv4
packet is in a softwire, and comes from the IPv6 side.`,
		Example: `  lwaftr trace --src 198.51.100.7 --dst 192.0.2.1 --proto udp --sport 443 --dport 2000
  lwaftr trace --outer-src 2001:db8:0:1::1 --outer-dst 2001:db8:ffff::1 \
    --src 192.0.2.1 --dst 198.51.100.7 --proto tcp --sport 2000 --dport 443
  lwaftr trace --side ipv4 --hex 4500001c...`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			request := api.TraceRequest{Side: side}
			var err error
			if dump != "" {
				request.Packet, err = hex.DecodeString(strings.Join(strings.Fields(dump), ""))
				if err != nil {
					return usageError{fmt.Errorf("--hex: %w", err)}
				}
				if side == "" {
					return usageError{fmt.Errorf("--hex needs --side ipv4 or --side ipv6")}
				}
			} else if request, err = p.request(side); err != nil {
				return usageError{err}
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c *api.Client) error {
				trace, err := c.Trace(ctx, request)
				if err != nil {
					return err
				}
				return o.print(cmd.OutOrStdout(), trace, func(t *table) {
					for i, step := range trace.Steps {
						t.row(i+1, step)
					}
				})
			})
		},
	}
	cmd.Flags().StringVar(&side, "side", "", "where the packet comes from: ipv4 or ipv6")
	cmd.Flags().StringVar(&dump, "hex", "", "the whole packet in `hex`")
	p.flags(cmd)
	a.flags(cmd)
	o.flags(cmd)
	return cmd
}
