package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin/control/api"
)

func newShow() *cobra.Command {
	var t target
	var as format
	return newGroup(&t, &as, &cobra.Command{
		Use:     "show",
		Short:   "show what the running router does",
		Long:    "Show asks the running router over its control socket.",
		Example: "  lwaftr show status\n  lwaftr show softwires --ipv4 192.0.2.1 --counters\n  lwaftr show counters -o json",
	},
		newShowSoftwires(&t, &as),
		newShowCounters(&t, &as),
		showOne(&t, &as, "show status", "whether the router and its data plane are well",
			"Status shows the state of the data plane, how many softwires it has of those it should have,\n"+
				"and what is wrong.", (*api.Client).Status, printStatus),
		showOne(&t, &as, "show pools", "the pools and how much of each is used",
			"Pools shows the IPv4 pools, their port parameters, and how many softwires are on each.",
			(*api.Client).Pools, printPools),
	)
}

// showOne is a command that prints the answer to one call. Its path is that of
// its parent and its own name.
func showOne[T any](t *target, as *format, path, short, long string,
	call func(*api.Client, context.Context) (T, error), table func(*printer, T)) *cobra.Command {
	return &cobra.Command{
		Use:     path[strings.LastIndexByte(path, ' ')+1:],
		Short:   short,
		Long:    long,
		Example: "  lwaftr " + path + "\n  lwaftr " + path + " -o json",
		Args:    cobra.NoArgs,
		RunE: t.ask(func(ctx context.Context, cmd *cobra.Command, _ []string, c *api.Client) error {
			answer, err := call(c, ctx)
			if err != nil {
				return err
			}
			if *as == formatJSON {
				return printJSON(cmd.OutOrStdout(), answer)
			}
			p := newPrinter(cmd.OutOrStdout(), *as)
			table(p, answer)
			return p.flush()
		}),
	}
}

func newShowCounters(t *target, as *format) *cobra.Command {
	var all bool
	cmd := showOne(t, as, "show counters", "packets forwarded, and dropped by cause",
		"Counters shows what was forwarded in each direction and what became of everything else, by\n"+
			"cause. Bytes are those of IPv4 packets, without the tunnel header.",
		(*api.Client).Counters, func(p *printer, c api.Counters) { printCounters(p, c, all) })
	cmd.Flags().BoolVarP(&all, "all", "a", false, "show counters that are zero too")
	return cmd
}

func newShowSoftwires(t *target, as *format) *cobra.Command {
	var ipv4, b4 string
	var counters, problems bool
	cmd := &cobra.Command{
		Use:   "softwires",
		Short: "the binding table",
		Long: "Softwires shows the binding table: who holds which ports of which IPv4 address. The PSID is\n" +
			"right-justified; ports are the first range of the port set, and how many more there are.",
		Example: "  lwaftr show softwires\n  lwaftr show softwires --ipv4 192.0.2.1\n" +
			"  lwaftr show softwires --b4 2001:db8::1 --counters -o json\n  lwaftr show softwires --problems",
		Args: cobra.NoArgs,
		RunE: t.ask(func(ctx context.Context, cmd *cobra.Command, _ []string, c *api.Client) error {
			filter, err := softwireFilter(ipv4, b4)
			if err != nil {
				return err
			}
			filter.Counters, filter.Problems = counters, problems
			head, row := softwireColumns(counters, problems)
			return printItems(cmd.OutOrStdout(), *as, head, c.Softwires(ctx, filter), row)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&ipv4, "ipv4", "", "only softwires on this IPv4 `ADDRESS`")
	f.StringVar(&b4, "b4", "", "only softwires of the lwB4 with this IPv6 `ADDRESS`")
	f.BoolVar(&counters, "counters", false, "show packets and bytes of each")
	f.BoolVar(&problems, "problems", false, "only softwires that the data plane has not taken, and why")
	return cmd
}

func softwireFilter(ipv4, b4 string) (f api.SoftwireFilter, err error) {
	if ipv4 != "" {
		if f.IPv4, err = parse4("ipv4", ipv4); err != nil {
			return f, err
		}
	}
	if b4 != "" {
		f.B4, err = parse6("b4", b4)
	}
	return f, err
}
