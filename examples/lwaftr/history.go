package main

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/control/api"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// past is the history that a command asks: of a running router, or files.
type past struct {
	target
	files string
	as    format
}

// newPast returns a command with the flags of p.
func newPast(p *past, cmd *cobra.Command) *cobra.Command {
	p.flags(cmd, 10*time.Minute)
	f := cmd.Flags()
	f.VarP(&p.as, "output", "o", "`FORMAT`: table, json or csv")
	f.StringVar(&p.files, "files", "", "read the history in this `FOLDER`; no router is needed")
	cmd.MarkFlagsMutuallyExclusive("files", "socket", "config", "server")
	return cmd
}

func newWho() *cobra.Command {
	var p past
	var at string
	cmd := &cobra.Command{
		Use:   "who ADDRESS:PORT",
		Short: "who held a port of an IPv4 address at a time",
		Long: "Who says which subscriber held a port of an IPv4 address at a moment of the past: from when\n" +
			"until when, and through which lwB4. It asks the running router, or reads its files.",
		Example: "  lwaftr who 192.0.2.7:31337 --at 2026-03-05T14:03:07Z\n" +
			"  lwaftr who 192.0.2.7:31337 --at 2026-03-05T15:03:07+01:00 -o json\n" +
			"  lwaftr who 192.0.2.7:31337 --files /var/lib/lw4o6/history",
		Args: cobra.ExactArgs(1),
		RunE: action(func(cmd *cobra.Command, args []string) error {
			port, err := netip.ParseAddrPort(args[0])
			if err != nil || !port.Addr().Is4() {
				return usagef("%q: want an IPv4 address and a port, such as 192.0.2.7:31337", args[0])
			}
			when := time.Now()
			if at != "" {
				if when, err = parseTime("at", at); err != nil {
					return err
				}
			}
			who, err := p.who(cmd.Context(), port, when)
			if err != nil {
				return err
			}
			return printWho(cmd.OutOrStdout(), p.as, who)
		}),
	}
	cmd.Flags().StringVar(&at, "at", "", "`TIME` of RFC 3339; now if it is not given")
	return newPast(&p, cmd)
}

// who asks who held a port.
func (p *past) who(ctx context.Context, port netip.AddrPort, at time.Time) (who api.Who, err error) {
	if p.files == "" {
		err = p.call(ctx, func(ctx context.Context, c *api.Client) error {
			who, err = c.Who(ctx, port, at)
			return err
		})
		return who, err
	}
	v, err := history.OpenView(p.files)
	if err != nil {
		return who, err
	}
	h, held, err := v.Who(ctx, port.Addr(), port.Port(), at)
	who = api.Who{IPv4: port.Addr(), Port: port.Port(), At: at}
	if held {
		who.Hold = new(control.HoldOf(h))
	}
	return who, errors.Join(err, v.Close())
}

func newHistory() *cobra.Command {
	var p past
	var q pastQuery
	cmd := &cobra.Command{
		Use:   "history",
		Short: "who held which ports, and when",
		Long: "History lists who held which port sets from when until when, ordered by address, port set and\n" +
			"start. It asks the running router, or reads its files.",
		Example: "  lwaftr history --subscriber 2001:db8:1:100::/56\n" +
			"  lwaftr history --ipv4 192.0.2.7 --port 31337 --from 2026-03-01T00:00:00Z\n" +
			"  lwaftr history --b4 2001:db8:1:100::1 -o csv\n" +
			"  lwaftr history --files /var/lib/lw4o6/history -o json",
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			filter, err := q.filter()
			if err != nil {
				return err
			}
			return p.holds(cmd.Context(), filter, func(all iter.Seq2[api.Hold, error]) error {
				return printHolds(cmd.OutOrStdout(), p.as, all)
			})
		}),
	}
	q.flags(cmd)
	return newPast(&p, cmd)
}

// holds calls visit with what a filter selects.
func (p *past) holds(ctx context.Context, f api.HistoryFilter, visit func(iter.Seq2[api.Hold, error]) error) error {
	if p.files == "" {
		return p.call(ctx, func(ctx context.Context, c *api.Client) error { return visit(c.History(ctx, f)) })
	}
	v, err := history.OpenView(p.files)
	if err != nil {
		return err
	}
	err = visit(func(yield func(api.Hold, error) bool) {
		for h, err := range v.Holds(ctx, control.HistoryQuery(f)) {
			if !yield(control.HoldOf(h), err) {
				return
			}
		}
	})
	return errors.Join(err, v.Close())
}

// pastQuery is the flags that select a part of the history.
type pastQuery struct{ ipv4, port, subscriber, b4, pool, from, to string }

func (q *pastQuery) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&q.ipv4, "ipv4", "", "only on this IPv4 `ADDRESS` or prefix")
	f.StringVar(&q.port, "port", "", "only port sets with this `PORT`")
	f.StringVar(&q.subscriber, "subscriber", "", "only of the subscriber with this IPv6 `PREFIX`, or an address in it")
	f.StringVar(&q.b4, "b4", "", "only through the lwB4 with this IPv6 `ADDRESS`")
	f.StringVar(&q.pool, "pool", "", "only from the pool with this `NAME`")
	f.StringVar(&q.from, "from", "", "only what lasted at this `TIME` of RFC 3339 or later")
	f.StringVar(&q.to, "to", "", "only what began before this `TIME` of RFC 3339")
}

func (q *pastQuery) filter() (f api.HistoryFilter, err error) {
	f.Pool = q.pool
	if q.ipv4 != "" {
		if f.IPv4, err = parsePrefix("ipv4", q.ipv4); err == nil && !f.IPv4.Addr().Is4() {
			return f, usagef("--ipv4 %s: want an IPv4 address or prefix", q.ipv4)
		}
	}
	if err == nil && q.port != "" {
		n, bad := strconv.ParseUint(q.port, 10, 16)
		if bad != nil {
			return f, usagef("--port %s: want 0 to 65535", q.port)
		}
		f.Port = new(uint16(n))
	}
	if err == nil && q.subscriber != "" {
		if f.Subscriber, err = parsePrefix("subscriber", q.subscriber); err == nil && !f.Subscriber.Addr().Is6() {
			return f, usagef("--subscriber %s: want an IPv6 prefix or address", q.subscriber)
		}
	}
	if err == nil && q.b4 != "" {
		f.B4, err = parse6("b4", q.b4)
	}
	if err == nil && q.from != "" {
		f.From, err = parseTime("from", q.from)
	}
	if err == nil && q.to != "" {
		f.To, err = parseTime("to", q.to)
	}
	return f, err
}

// parsePrefix reads a prefix, or an address as the prefix that holds it alone.
func parsePrefix(flag, text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, usagef("--%s %s: want an address or a prefix", flag, text)
	}
	return p.Masked(), nil
}

func parseTime(flag, text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usagef("--%s %s: want a time such as 2026-03-05T14:03:07Z", flag, text)
	}
	return t, nil
}
