package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin/control/api"
)

func newBGP() *cobra.Command {
	var t target
	var as format
	return newGroup(&t, &as, &cobra.Command{
		Use:   "bgp",
		Short: "what is announced, to whom, and why the rest is not",
		Long: "Bgp shows which pools the running router announces by BGP, and lets those go that wait for\n" +
			"an operator.",
		Example: "  lwaftr bgp show\n  lwaftr bgp peers -o json",
	},
		showOne(&t, &as, "bgp show", "where each pool stands",
			"Show shows of each pool whether it is announced, and since when, or why it is not; and what\n"+
				"an operator should look at.", (*api.Client).BGP, printBGP),
		showOne(&t, &as, "bgp peers", "the sessions with peers",
			"Peers shows the state of each session, and what went wrong last.",
			func(c *api.Client, ctx context.Context) ([]api.BGPPeer, error) {
				b, err := c.BGP(ctx)
				return b.Peers, err
			}, printPeers),
		showOne(&t, &as, "bgp announced", "the routes to pools and BR addresses",
			"Announced shows all routes that there are, and of those that are not announced why. What each\n"+
				"peer was told is in bgp peers -o json.",
			func(c *api.Client, ctx context.Context) ([]api.BGPRoute, error) {
				b, err := c.BGP(ctx)
				return b.Routes, err
			}, printRoutes),
		&cobra.Command{
			Use:   "release [POOL]...",
			Short: "announce a held pool again",
			Long: "Release lets pools go that came back too often and wait for an operator, or wait in their\n" +
				"hold-down; all of them if none is named. Drained pools stay drained: see lwaftr undrain.",
			Example: "  lwaftr bgp release residential",
			RunE: t.ask(func(ctx context.Context, _ *cobra.Command, args []string, c *api.Client) error {
				return c.ReleaseHold(ctx, args...)
			}),
		},
	)
}

func printBGP(p *printer, b api.BGP) {
	p.row("POOL", "STATE", "SINCE", "UNTIL", "SOFTWIRES", "PROGRAMMED", "REASON")
	for _, one := range b.Pools {
		until := "-"
		if one.Until != nil {
			until = one.Until.Format(time.RFC3339)
		}
		p.row(one.Name, one.State, one.Since.Format(time.RFC3339), until, one.Softwires, one.Programmed, cmp.Or(one.Reason, "-"))
	}
	for _, a := range b.Alarms {
		p.row(cmp.Or(a.Subject, "-"), "alarm", "-", "-", "-", "-", a.Text)
	}
}

func printPeers(p *printer, peers []api.BGPPeer) {
	p.row("PEER", "ADDRESS", "AS", "STATE", "SINCE", "FLAPS", "ROUTES", "ERROR")
	for _, one := range peers {
		problem := one.Error
		if n := len(one.Withheld); n > 0 {
			problem = fmt.Sprintf("%d routes withheld: the peer does not understand their next hop", n)
		}
		p.row(one.Name, one.Address, one.AS, one.State, one.Since.Format(time.RFC3339), one.Flaps, len(one.Announced), cmp.Or(problem, "-"))
	}
}

func printRoutes(p *printer, routes []api.BGPRoute) {
	p.row("PREFIX", "STATE", "POOLS", "REASON")
	for _, r := range routes {
		p.row(r.Prefix, routeState(r), strings.Join(r.Pools, ","), cmp.Or(r.Reason, "-"))
	}
}

func routeState(r api.BGPRoute) string {
	switch {
	case !r.Announced:
		return "withdrawn"
	case r.Drain:
		return "draining"
	case r.Blackhole:
		return "blackhole"
	}
	return "announced"
}
