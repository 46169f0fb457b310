package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// shower is what the show commands have in common.
type shower struct {
	asking
	output
}

func showCommand() *cobra.Command {
	var s shower
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show what the router does",
		Example: "  lwaftr show status\n  lwaftr show counters -o json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	s.asking.flags(cmd)
	s.output.flags(cmd)
	cmd.AddCommand(s.status(), s.softwires(), s.counters(), s.pools())
	return cmd
}

// command is one show command.
func (s *shower) command(use, short, example string, question func(*cobra.Command, context.Context, *api.Client) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: "  " + example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.ask(cmd.Context(), func(ctx context.Context, c *api.Client) error { return question(cmd, ctx, c) })
		},
	}
}

func (s *shower) status() *cobra.Command {
	return s.command("status", "Show whether the router forwards, and what it lacks", "lwaftr show status",
		func(cmd *cobra.Command, ctx context.Context, c *api.Client) error {
			status, err := c.Status(ctx)
			if err != nil {
				return err
			}
			return s.print(cmd.OutOrStdout(), status, func(t *table) {
				t.row("name", status.Name)
				t.row("version", status.Version)
				t.row("started", status.Started.Format("2006-01-02 15:04:05 MST"))
				t.row("ready", status.Ready)
				t.row("data plane", strings.TrimSpace(status.Dataplane.Name+" "+status.Dataplane.State+" "+status.Dataplane.Reason))
				t.row("softwires", fmt.Sprintf("%d of %d programmed, %d pending, %d unsupported", status.Softwires.Programmed,
					status.Softwires.Desired, status.Softwires.Pending, status.Softwires.Unsupported))
				for _, p := range status.Problems {
					t.row("problem", p)
				}
			})
		})
}

func (s *shower) softwires() *cobra.Command {
	var ipv4, b4 string
	cmd := s.command("softwires", "Show the binding table, with counters", "lwaftr show softwires --ipv4 192.0.2.1",
		func(cmd *cobra.Command, ctx context.Context, c *api.Client) error {
			filter := api.SoftwireFilter{Counters: true}
			for _, f := range []struct {
				flag, text string
				to         *netip.Addr
			}{{"ipv4", ipv4, &filter.IPv4}, {"b4", b4, &filter.B4}} {
				if f.text == "" {
					continue
				}
				a, err := netip.ParseAddr(f.text)
				if err != nil {
					return usageError{fmt.Errorf("--%s: %q is not an IP address", f.flag, f.text)}
				}
				*f.to = a
			}
			if s.format == formatJSON {
				return streamJSON(cmd, ctx, c, filter)
			}
			t := newTable(cmd.OutOrStdout())
			t.row("IPV4", "PSID-OFFSET", "PSID-LEN", "PSID", "LWB4", "BR", "PACKETS TO B4", "BYTES TO B4", "PACKETS FROM B4", "BYTES FROM B4")
			for w, err := range c.Softwires(ctx, filter) {
				if err != nil {
					return err
				}
				to, from := traffic(w.ToB4), traffic(w.FromB4)
				t.row(w.IPv4, w.PSIDOffset, w.PSIDLen, w.PSID, w.B4, w.BR, to[0], to[1], from[0], from[1])
			}
			return t.flush()
		})
	cmd.Flags().StringVar(&ipv4, "ipv4", "", "only those on this IPv4 `address`")
	cmd.Flags().StringVar(&b4, "b4", "", "only those of the lwB4 with this IPv6 `address`")
	return cmd
}

// streamJSON writes a list that may be too large to hold.
func streamJSON(cmd *cobra.Command, ctx context.Context, c *api.Client, filter api.SoftwireFilter) error {
	w := cmd.OutOrStdout()
	separator := "[\n  "
	for s, err := range c.Softwires(ctx, filter) {
		if err != nil {
			return err
		}
		line, err := json.Marshal(s)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s%s", separator, line); err != nil {
			return err
		}
		separator = ",\n  "
	}
	if separator[0] == '[' {
		_, err := fmt.Fprintln(w, "[]")
		return err
	}
	_, err := fmt.Fprintln(w, "\n]")
	return err
}

// traffic is the cells of counters that may not be there.
func traffic(t *api.Traffic) [2]any {
	if t == nil {
		return [2]any{"-", "-"}
	}
	return [2]any{t.Packets, t.Bytes}
}

func (s *shower) counters() *cobra.Command {
	var all bool
	cmd := s.command("counters", "Show what was forwarded, and what was not and why", "lwaftr show counters --all",
		func(cmd *cobra.Command, ctx context.Context, c *api.Client) error {
			counters, err := c.Counters(ctx)
			if err != nil {
				return err
			}
			return s.print(cmd.OutOrStdout(), counters, func(t *table) {
				t.row("COUNTER", "PACKETS", "BYTES", "MEANING")
				t.row("encapsulated", counters.Encapsulated.Packets, counters.Encapsulated.Bytes, "from the IPv4 side to a lwB4")
				t.row("decapsulated", counters.Decapsulated.Packets, counters.Decapsulated.Bytes, "from a lwB4 to the IPv4 side")
				t.row("hairpinned", counters.Hairpinned.Packets, counters.Hairpinned.Bytes, "from one lwB4 to another")
				for _, e := range counters.Events {
					if all || e.Packets > 0 {
						t.row(e.Name, e.Packets, "", e.Meaning)
					}
				}
				for _, d := range counters.Devices {
					t.row(d.Name+" received", d.Received.Packets, d.Received.Bytes, "")
					t.row(d.Name+" sent", d.Sent.Packets, d.Sent.Bytes, "")
					for _, e := range d.Drops {
						if all || e.Packets > 0 {
							t.row(d.Name+" "+e.Name, e.Packets, "", e.Meaning)
						}
					}
				}
			})
		})
	cmd.Flags().BoolVar(&all, "all", false, "also those that are zero")
	return cmd
}

func (s *shower) pools() *cobra.Command {
	return s.command("pools", "Show the pools and how full they are", "lwaftr show pools",
		func(cmd *cobra.Command, ctx context.Context, c *api.Client) error {
			pools, err := c.Pools(ctx)
			if err != nil {
				return err
			}
			return s.print(cmd.OutOrStdout(), pools, func(t *table) {
				t.row("POOL", "PREFIXES", "PSID-OFFSET", "PSID-LEN", "BR", "PORT SETS", "SOFTWIRES")
				for _, p := range pools {
					prefixes := make([]string, len(p.Prefixes))
					for i, prefix := range p.Prefixes {
						prefixes[i] = prefix.String()
					}
					t.row(p.Name, strings.Join(prefixes, ","), p.PSIDOffset, p.PSIDLen, p.BR, p.Capacity, p.Softwires)
				}
			})
		})
}
