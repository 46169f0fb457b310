package main

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// pcpFlags say which server is asked for what.
type pcpFlags struct {
	server, source, thirdParty, suggested, nonce string
	protocol                                     uint8
	port, ports                                  uint16
	lifetime, timeout                            time.Duration
	as                                           format
}

func newPCP() *cobra.Command {
	var f pcpFlags
	cmd := &cobra.Command{
		Use:   "pcp",
		Short: "ask a PCP server for a port set",
		Long: "Pcp speaks PCP (RFC 6887) with a lwAFTR, as a lwB4 does, or with --third-party on behalf of\n" +
			"one, where the server allows that. A mapping is renewed and deleted by the nonce that map\n" +
			"prints, and by the same --protocol and --internal-port.",
		Example: "  lwaftr pcp map --server 2001:db8:ffff::1 --third-party 2001:db8:1::1\n" +
			"  lwaftr pcp delete --server 2001:db8:ffff::1 --third-party 2001:db8:1::1 --nonce 0102030405060708090a0b0c\n" +
			"  lwaftr pcp announce --server 2001:db8:ffff::1",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return usagef("pcp what? map, delete or announce") },
	}
	p := cmd.PersistentFlags()
	p.StringVar(&f.server, "server", "", "the server's IP `ADDRESS`")
	p.StringVar(&f.source, "source", "", "send from this IP `ADDRESS` of the host; the one that the host chooses if left out")
	p.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to wait for an answer")
	p.VarP(&f.as, "output", "o", "`FORMAT`: table, json or csv")
	mapping := func(c *cobra.Command) *cobra.Command {
		flags := c.Flags()
		flags.StringVar(&f.thirdParty, "third-party", "", "IP `ADDRESS` of whose mapping it is; the sender's own if left out")
		flags.StringVar(&f.nonce, "nonce", "", "nonce of the mapping, 24 `HEX` digits")
		flags.Uint8Var(&f.protocol, "protocol", 0, "IP protocol `NUMBER`; 0 is all")
		flags.Uint16Var(&f.port, "internal-port", 1, "first `PORT` that may be mapped; 0 is all of an address")
		flags.Uint16Var(&f.ports, "ports", pcpmsg.AllPorts, "`NUMBER` of ports at most; 0 for one mapping without a port set")
		return c
	}
	ask := mapping(&cobra.Command{
		Use:   "map",
		Short: "get a port set, or renew it",
		Long: "Map asks for a port set, or for a mapping of another kind, and prints what the server gives.\n" +
			"With --nonce it renews what that nonce got.",
		Example: "  lwaftr pcp map --server 2001:db8:ffff::1 --ports 1024 --lifetime 24h\n" +
			"  lwaftr pcp map --server 2001:db8:ffff::1 --third-party 2001:db8:1::1 --suggested 192.0.2.1:2048 -o json",
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error { return f.ask(cmd) }),
	})
	ask.Flags().DurationVar(&f.lifetime, "lifetime", 24*time.Hour, "how long it should last")
	ask.Flags().StringVar(&f.suggested, "suggested", "", "wish for this `ADDRESS:PORT`")
	cmd.AddCommand(ask, mapping(&cobra.Command{
		Use:     "delete",
		Short:   "give a port set back",
		Long:    "Delete ends the mapping of a nonce. That there is none is no error.",
		Example: "  lwaftr pcp delete --server 2001:db8:ffff::1 --nonce 0102030405060708090a0b0c",
		Args:    cobra.NoArgs,
		RunE:    action(func(cmd *cobra.Command, _ []string) error { return f.delete(cmd) }),
	}), &cobra.Command{
		Use:     "announce",
		Short:   "ask whether the server is there",
		Long:    "Announce prints the server's epoch: for how many seconds it has kept its mappings.",
		Example: "  lwaftr pcp announce --server 2001:db8:ffff::1",
		Args:    cobra.NoArgs,
		RunE:    action(func(cmd *cobra.Command, _ []string) error { return f.announce(cmd) }),
	})
	return cmd
}

// pcpGrant is what map prints.
type pcpGrant struct {
	External     netip.Addr `json:"external-address"`
	FirstPort    uint16     `json:"first-port"`
	Ports        int        `json:"ports"`
	InternalPort uint16     `json:"first-internal-port"`
	Lifetime     string     `json:"lifetime"`
	Nonce        string     `json:"nonce"`
}

func (f *pcpFlags) ask(cmd *cobra.Command) error {
	want, err := f.want()
	if err != nil {
		return err
	}
	return f.with(cmd.Context(), func(ctx context.Context, c *client.Client) error {
		g, err := c.Request(ctx, want)
		if err != nil {
			return err
		}
		shown := pcpGrant{g.External, g.ExternalPort, g.Ports, g.InternalPort, g.Lifetime.String(), want.Nonce.String()}
		return f.print(cmd.OutOrStdout(), shown, []row{
			{"external address", shown.External}, {"first port", shown.FirstPort}, {"ports", shown.Ports},
			{"first internal port", shown.InternalPort}, {"lifetime", shown.Lifetime}, {"nonce", shown.Nonce},
		})
	})
}

func (f *pcpFlags) delete(cmd *cobra.Command) error {
	if f.nonce == "" {
		return usagef("--nonce is needed: map printed it")
	}
	f.lifetime = time.Second // any; a deletion has none
	want, err := f.want()
	if err != nil {
		return err
	}
	return f.with(cmd.Context(), func(ctx context.Context, c *client.Client) error { return c.Delete(ctx, want) })
}

func (f *pcpFlags) announce(cmd *cobra.Command) error {
	return f.with(cmd.Context(), func(ctx context.Context, c *client.Client) error {
		a, err := c.Announce(ctx)
		if err != nil {
			return err
		}
		return f.print(cmd.OutOrStdout(), struct {
			Server netip.Addr `json:"server"`
			Epoch  uint32     `json:"epoch"`
		}{a.Server.Addr(), a.Epoch}, []row{{"server", a.Server.Addr()}, {"epoch", a.Epoch}})
	})
}

// row is a line of a table.
type row struct {
	name  string
	value any
}

// print prints v as JSON, or its rows.
func (f *pcpFlags) print(w io.Writer, v any, rows []row) error {
	if f.as == formatJSON {
		return printJSON(w, v)
	}
	p := newPrinter(w, f.as)
	for _, r := range rows {
		p.row(r.name, r.value)
	}
	return p.flush()
}

// want is the mapping that the flags describe.
func (f *pcpFlags) want() (client.Want, error) {
	want := client.Want{
		Nonce: client.NewNonce(), Protocol: f.protocol, InternalPort: f.port, Ports: f.ports, Lifetime: f.lifetime,
	}
	var err error
	if f.nonce != "" {
		b, err := hex.DecodeString(f.nonce)
		if err != nil || copy(want.Nonce[:], b) != len(want.Nonce) || len(b) != len(want.Nonce) {
			return want, usagef("--nonce: %q is not 24 hexadecimal digits", f.nonce)
		}
	}
	if f.thirdParty != "" {
		if want.ThirdParty, err = netip.ParseAddr(f.thirdParty); err != nil {
			return want, usagef("--third-party: %q is not an IP address", f.thirdParty)
		}
	}
	if f.suggested != "" {
		if want.Suggested, err = netip.ParseAddrPort(f.suggested); err != nil {
			return want, usagef("--suggested: %q is not an address and a port, such as 192.0.2.1:2048", f.suggested)
		}
	}
	if err := want.Validate(); err != nil {
		return want, usagef("%v", err)
	}
	return want, nil
}

// with runs a client of the server while do uses it.
func (f *pcpFlags) with(ctx context.Context, do func(context.Context, *client.Client) error) error {
	address, err := netip.ParseAddr(f.server)
	if err != nil {
		return usagef("--server: %q is not an IP address", f.server)
	}
	server := netip.AddrPortFrom(address, pcpmsg.ServerPort)
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	conn, err := f.listen(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close()
	c, err := client.New(conn, client.Config{Servers: []netip.AddrPort{server}})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	group, running := errgroup.WithContext(running)
	group.Go(func() error { return c.Run(running) })
	err = do(ctx, c)
	stop()
	return errors.Join(err, group.Wait())
}

func (f *pcpFlags) listen(ctx context.Context, server netip.AddrPort) (net.PacketConn, error) {
	if f.source == "" {
		return client.Listen(ctx, server)
	}
	source, err := netip.ParseAddr(f.source)
	if err != nil {
		return nil, usagef("--source: %q is not an IP address", f.source)
	}
	return client.ListenFrom(ctx, source)
}
