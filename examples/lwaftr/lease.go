package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func newLease() *cobra.Command {
	var t target
	var as format
	return newGroup(&t, &as, &cobra.Command{
		Use:   "lease",
		Short: "who holds which port set",
		Long: "Lease shows and changes who holds which port set in the running router. A port set is named\n" +
			"by its address and any port of it (192.0.2.1:5200), by address and parameters\n" +
			"(192.0.2.1/PSID-OFFSET/PSID-LEN/PSID), or by the address alone if that is whole.",
		Example: "  lwaftr lease list --pool residential\n  lwaftr lease show 192.0.2.1:5200\n" +
			"  lwaftr lease add --b4 2001:db8:1::1 --pool business",
	},
		newLeaseList(&t, &as),
		leaseOne(&t, &as, "show", "one lease", "Show shows who holds a port set, or held it last.",
			func(_ context.Context, _ *api.Client, l api.Lease) (api.Lease, error) { return l, nil }),
		newLeaseAdd(&t, &as), newLeaseRelease(&t, &as), newLeaseMove(&t, &as), newLeaseReserve(&t, &as),
		leaseOne(&t, &as, "unreserve", "end a reservation",
			"Unreserve ends a reservation. Who holds the port set keeps it.",
			func(ctx context.Context, c *api.Client, l api.Lease) (api.Lease, error) {
				return c.Unreserve(ctx, l.Key)
			}),
	)
}

func newLeaseList(t *target, as *format) *cobra.Command {
	var f api.LeaseFilter
	var subscriber, ipv4 string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "all leases, or some",
		Long: "List lists leases ordered by address and port set: bound ones, and those that rest, with who held\n" +
			"them last.",
		Example: "  lwaftr lease list --state bound\n  lwaftr lease list --subscriber 2001:db8:1::1 -o json",
		Args:    cobra.NoArgs,
		RunE: t.ask(func(ctx context.Context, cmd *cobra.Command, _ []string, c *api.Client) (err error) {
			if subscriber != "" {
				if f.Subscriber, err = parse6("subscriber", subscriber); err != nil {
					return err
				}
			}
			if ipv4 != "" {
				if f.IPv4, err = parse4("ipv4", ipv4); err != nil {
					return err
				}
			}
			return printItems(cmd.OutOrStdout(), *as, leaseHead(), c.Leases(ctx, f), leaseRow)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&subscriber, "subscriber", "", "only leases of the subscriber with this IPv6 `ADDRESS`")
	flags.StringVar(&ipv4, "ipv4", "", "only leases on this IPv4 `ADDRESS`")
	flags.StringVar(&f.Pool, "pool", "", "only leases of the pool of this `NAME`")
	flags.StringVar(&f.Mechanism, "mechanism", "", "only leases by this `MECHANISM`: dhcpv6, pcp or static")
	flags.StringVar(&f.State, "state", "", "only leases in this `STATE`: bound, leaving or resting")
	return cmd
}

// leaseOne is a command about the lease of one port set.
func leaseOne(t *target, as *format, name, short, long string, do func(context.Context, *api.Client, api.Lease) (api.Lease, error)) *cobra.Command {
	return &cobra.Command{
		Use:     name + " PORT-SET",
		Short:   short,
		Long:    long,
		Example: "  lwaftr lease " + name + " 192.0.2.1:5200\n  lwaftr lease " + name + " 192.0.2.1/0/6/5",
		Args:    cobra.ExactArgs(1),
		RunE: t.ask(func(ctx context.Context, cmd *cobra.Command, args []string, c *api.Client) error {
			l, err := findLease(ctx, c, args[0])
			if err != nil {
				return err
			}
			if l, err = do(ctx, c, l); err != nil {
				return err
			}
			return printLease(cmd, *as, l)
		}),
	}
}

func newLeaseRelease(t *target, as *format) *cobra.Command {
	var reason string
	cmd := leaseOne(t, as, "release", "end a lease",
		"Release ends a lease. When it returns the data plane has the softwire no more, and the hold-down has\n"+
			"begun, in which only the same subscriber can have the port set.",
		func(ctx context.Context, c *api.Client, l api.Lease) (api.Lease, error) {
			return c.Remove(ctx, api.RemoveRequest{Key: l.Key, Reason: reason})
		})
	cmd.Flags().StringVar(&reason, "reason", "", "a `TEXT` for the history")
	return cmd
}

// findLease finds the lease of a port set as an operator names it.
func findLease(ctx context.Context, c *api.Client, text string) (api.Lease, error) {
	ip, has, err := parsePortSet(text)
	if err != nil {
		return api.Lease{}, err
	}
	for l, err := range c.Leases(ctx, api.LeaseFilter{IPv4: ip}) {
		if err != nil {
			return api.Lease{}, err
		}
		if k, err := l.Key.Key(); err == nil && has(k.PortSet) {
			return l, nil
		}
	}
	return api.Lease{}, fmt.Errorf("nobody holds %s, or has held it", text)
}

// parsePortSet reads how an operator names a port set, and returns its address
// and how to recognise it there.
func parsePortSet(text string) (netip.Addr, func(portset.PortSet) bool, error) {
	if at, err := netip.ParseAddrPort(text); err == nil && at.Addr().Is4() {
		return at.Addr(), func(s portset.PortSet) bool { return s.Contains(at.Port()) }, nil
	}
	k, err := parseKey(text)
	if err != nil {
		return netip.Addr{}, nil, err
	}
	return k.IPv4, func(s portset.PortSet) bool { return s == k.PortSet }, nil
}

// parseKey reads an address with the parameters of a port set, or alone.
func parseKey(text string) (softwire.Key, error) {
	address, parameters, shared := strings.Cut(text, "/")
	ip, err := netip.ParseAddr(address)
	if err == nil && ip.Is4() {
		if !shared {
			return softwire.Key{IPv4: ip}, nil
		}
		set, err := portset.ParsePortSet(parameters)
		if err == nil {
			return softwire.Key{IPv4: ip, PortSet: set}, nil
		}
	}
	return softwire.Key{}, usagef("%q is not a port set: use 192.0.2.1:PORT, 192.0.2.1/PSID-OFFSET/PSID-LEN/PSID, or 192.0.2.1", text)
}

func leaseHead() []any {
	return []any{"BINDING-IPV4-ADDR", "PSID-OFFSET", "PSID-LEN", "PSID", "PORTS", "SUBSCRIBER", "BINDING-IPV6INFO", "POOL", "MECHANISM", "STATE", "EXPIRES", "COMMENT"}
}

func leaseRow(l api.Lease) []any {
	state := l.State
	switch {
	case l.Reserved:
		state += ",reserved"
	case l.Moved:
		state += ",moved"
	case l.HeldUntil != nil && l.HeldUntil.After(time.Now()):
		state += ",held"
	}
	b4 := "-"
	if l.B4.IsValid() {
		b4 = l.B4.String()
	}
	expires := "never"
	if l.Expires != nil {
		expires = l.Expires.Format(time.RFC3339)
	}
	return []any{l.IPv4, l.PSIDOffset, l.PSIDLen, l.PSID, ports(l.PSIDOffset, l.PSIDLen, l.PSID), l.Subscriber, b4, l.Pool, l.Mechanism, state, expires, commentOf(l)}
}

// commentOf is what is remembered with a lease. Clients write comments, too, so what
// a terminal might take for an order is not printed as it is.
func commentOf(l api.Lease) string {
	text := l.Attributes["comment"]
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		text = strconv.QuoteToASCII(text)
	}
	return cmp.Or(text, "-")
}

func printLease(cmd *cobra.Command, as format, l api.Lease) error {
	if as == formatJSON {
		return printJSON(cmd.OutOrStdout(), l)
	}
	p := newPrinter(cmd.OutOrStdout(), as)
	p.row(leaseHead()...)
	p.row(leaseRow(l)...)
	return p.flush()
}

// leaseFlags are the flags of commands that ask for a lease.
type leaseFlags struct {
	b4, pool, mechanism, want, comment string
	ports                              int
	lifetime                           time.Duration
}

func (f *leaseFlags) declare(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.b4, "b4", "", "the lwB4's IPv6 `ADDRESS`")
	flags.StringVar(&f.pool, "pool", "", "draw from the pool of this `NAME`")
	flags.StringVar(&f.mechanism, "mechanism", "static", "how the subscriber will ask for it: `MECHANISM` dhcpv6, pcp or static")
	flags.StringVar(&f.comment, "comment", "", "a `TEXT` to remember with it")
}

func (f *leaseFlags) request() (api.LeaseRequest, error) {
	r := api.LeaseRequest{
		Mechanism: f.mechanism, Pool: f.pool, Ports: f.ports, Lifetime: uint32(f.lifetime / time.Second),
	}
	var err error
	if r.B4, err = parse6("b4", f.b4); err != nil {
		return r, err
	}
	if f.comment != "" {
		r.Attributes = map[string]string{"comment": f.comment}
	}
	if f.want != "" {
		k, err := parseKey(f.want)
		if err != nil {
			return r, err
		}
		key := api.FromKey(k)
		r.Want = &key
	}
	return r, nil
}

func newLeaseAdd(t *target, as *format) *cobra.Command {
	var f leaseFlags
	cmd := &cobra.Command{
		Use:   "add",
		Short: "give a subscriber a port set",
		Long: "Add gives a subscriber a port set, as if it had asked for it. When it returns the lease is durable\n" +
			"and in the data plane. With mechanism static it never expires. Repeating it changes nothing.",
		Example: "  lwaftr lease add --b4 2001:db8:1::1 --pool business\n" +
			"  lwaftr lease add --b4 2001:db8:1::1 --want 192.0.2.1/0/6/5 --comment \"ticket 4711\"",
		Args: cobra.NoArgs,
		RunE: t.ask(func(ctx context.Context, cmd *cobra.Command, _ []string, c *api.Client) error {
			r, err := f.request()
			if err != nil {
				return err
			}
			l, err := c.Acquire(ctx, r)
			if err != nil {
				return err
			}
			return printLease(cmd, *as, l)
		}),
	}
	f.declare(cmd)
	cmd.Flags().StringVar(&f.want, "want", "", "preferably this `PORT-SET`")
	cmd.Flags().IntVar(&f.ports, "ports", 0, "how many ports it should have, a `NUMBER`; otherwise what the pool gives")
	cmd.Flags().DurationVar(&f.lifetime, "lifetime", 0, "for mechanisms other than static: how long, a `DURATION`; otherwise the pool's default")
	return cmd
}

func newLeaseReserve(t *target, as *format) *cobra.Command {
	var f leaseFlags
	cmd := &cobra.Command{
		Use:   "reserve PORT-SET",
		Short: "keep a port set for a subscriber",
		Long: "Reserve keeps a port set for a subscriber, who gets it when it asks. Others never do. A\n" +
			"port set that somebody else holds, or that rests after somebody else, cannot be reserved.",
		Example: "  lwaftr lease reserve 192.0.2.1/0/6/5 --b4 2001:db8:1::1 --mechanism pcp",
		Args:    cobra.ExactArgs(1),
		RunE: t.ask(func(ctx context.Context, cmd *cobra.Command, args []string, c *api.Client) error {
			f.want = args[0]
			r, err := f.request()
			if err != nil {
				return err
			}
			l, err := c.Reserve(ctx, r)
			if err != nil {
				return err
			}
			return printLease(cmd, *as, l)
		}),
	}
	f.declare(cmd)
	return cmd
}

func newLeaseMove(t *target, as *format) *cobra.Command {
	var pool, to string
	cmd := &cobra.Command{
		Use:   "move PORT-SET",
		Short: "give a holder another port set",
		Long: "Move gives the holder of a port set another one. Both work until the holder asks again and so\n" +
			"knows of the new one, or until the old one expires.",
		Example: "  lwaftr lease move 192.0.2.1:5200 --pool business\n  lwaftr lease move 192.0.2.1:5200 --to 192.0.2.2/0/6/7",
		Args:    cobra.ExactArgs(1),
		RunE: t.ask(func(ctx context.Context, cmd *cobra.Command, args []string, c *api.Client) error {
			from, err := findLease(ctx, c, args[0])
			if err != nil {
				return err
			}
			r := api.MoveRequest{From: from.Key, Pool: pool}
			if to != "" {
				k, err := parseKey(to)
				if err != nil {
					return err
				}
				want := api.FromKey(k)
				r.Want = &want
			}
			l, err := c.Move(ctx, r)
			if err != nil {
				return err
			}
			return printLease(cmd, *as, l)
		}),
	}
	cmd.Flags().StringVar(&pool, "pool", "", "draw from the pool of this `NAME`; otherwise from the same one")
	cmd.Flags().StringVar(&to, "to", "", "preferably this `PORT-SET`")
	return cmd
}
