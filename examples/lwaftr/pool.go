package main

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

func newPool() *cobra.Command {
	var t target
	var as format
	return newGroup(&t, &as, &cobra.Command{
		Use:   "pool",
		Short: "pools of IPv4 addresses, and how much of them is lent",
		Long: "Pool shows and changes the pools of the running router. Pools of the configuration file are\n" +
			"changed there; pools that are added here stay over restarts until they are removed.",
		Example: "  lwaftr pool list\n  lwaftr pool drain residential",
	},
		showOne(&t, &as, "pool list", "all pools", "List lists the pools and how much of each is used.", (*api.Client).Pools, printPools),
		newPoolAdd(&t),
		poolOne(&t, "remove", "remove a pool that was added here",
			"Remove removes a pool that was added here and that nobody uses any more.",
			(*api.Client).RemovePool),
		poolOne(&t, "drain", "give out nothing more of a pool",
			"Drain ends that a pool gives out and extends leases. Those that it has expire.",
			func(c *api.Client, ctx context.Context, name string) error { return c.DrainPool(ctx, name, true) }),
		poolOne(&t, "undrain", "lend a drained pool again",
			"Undrain ends a drain.",
			func(c *api.Client, ctx context.Context, name string) error { return c.DrainPool(ctx, name, false) }),
	)
}

// poolOne is a command about one pool.
func poolOne(t *target, name, short, long string, do func(*api.Client, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use:     name + " NAME",
		Short:   short,
		Long:    long,
		Example: "  lwaftr pool " + name + " residential",
		Args:    cobra.ExactArgs(1),
		RunE: t.ask(func(ctx context.Context, _ *cobra.Command, args []string, c *api.Client) error {
			return do(c, ctx, args[0])
		}),
	}
}

func newPoolAdd(t *target) *cobra.Command {
	var prefixes, mechanisms []string
	var split, br string
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "add a pool while the router runs",
		Long: "Add adds a pool with the default terms of lending. For other terms write it into the\n" +
			"configuration file.",
		Example: "  lwaftr pool add more --prefix 198.51.100.0/24 --psid 0/6 --br 2001:db8:ffff::1 --mechanism pcp",
		Args:    cobra.ExactArgs(1),
		RunE: t.ask(func(ctx context.Context, _ *cobra.Command, args []string, c *api.Client) error {
			r := api.PoolRequest{Name: args[0], Mechanisms: mechanisms}
			for _, text := range prefixes {
				p, err := netip.ParsePrefix(text)
				if err != nil {
					return usagef("--prefix: %q is not an IPv4 prefix", text)
				}
				r.Prefixes = append(r.Prefixes, p)
			}
			params, err := portset.ParseParams(split)
			if err != nil {
				return usagef("--psid: %v", err)
			}
			r.PSIDOffset, r.PSIDLen = params.Offset(), params.Length()
			if r.BR, err = parse6("br", br); err != nil {
				return err
			}
			return c.AddPool(ctx, r)
		}),
	}
	f := cmd.Flags()
	f.StringSliceVar(&prefixes, "prefix", nil, "the addresses: IPv4 `PREFIX`, several with commas")
	f.StringVar(&split, "psid", "0/0", "how ports are split: `PSID-OFFSET/PSID-LEN`")
	f.StringVar(&br, "br", "", "the IPv6 `ADDRESS` that lwB4s tunnel to")
	f.StringSliceVar(&mechanisms, "mechanism", nil, "`MECHANISM` that may draw from it: dhcpv6, pcp or static")
	return cmd
}

func printPools(p *printer, pools []api.Pool) {
	head := []any{"NAME", "PREFIXES", "PSID-OFFSET", "PSID-LEN", "BR-IPV6-ADDR", "CAPACITY", "SOFTWIRES"}
	lends := slices.ContainsFunc(pools, func(one api.Pool) bool { return one.Leases != nil })
	if lends {
		head = append(head, "MECHANISMS", "LENDABLE", "BOUND", "RESTING", "RESERVED")
	}
	p.row(head...)
	for _, one := range pools {
		prefixes := make([]string, len(one.Prefixes))
		for i, prefix := range one.Prefixes {
			prefixes[i] = prefix.String()
		}
		cells := []any{one.Name, strings.Join(prefixes, ","), one.PSIDOffset, one.PSIDLen, one.BR, one.Capacity, one.Softwires}
		if l := one.Leases; l != nil {
			mechanisms := strings.Join(l.Mechanisms, ",")
			if l.Draining {
				mechanisms += ",draining"
			}
			cells = append(cells, cmp.Or(mechanisms, "-"), l.Lendable, l.Bound+l.Leaving, l.Resting, l.Reserved)
		}
		p.row(cells...)
	}
}
