package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// target says which running router a command talks to.
type target struct {
	socket, path  string
	server        string // host and port; the socket otherwise
	ca, cert, key string // for server
	timeout       time.Duration
}

// flags declares the flags of t on cmd and all its subcommands.
func (t *target) flags(cmd *cobra.Command, timeout time.Duration) {
	f := cmd.PersistentFlags()
	f.StringVar(&t.socket, "socket", control.DefaultConfig().Socket, "control socket of the router, a `PATH`")
	f.StringVarP(&t.path, "config", "c", "", "take the control socket from this configuration `FILE`")
	f.DurationVar(&t.timeout, "timeout", timeout, "give up after this `DURATION`")
	f.StringVar(&t.server, "server", "", "talk to the router at `HOST:PORT` over TLS instead")
	f.StringVar(&t.ca, "ca", "", "with --server: PEM `FILE` of the authority of the router's certificate")
	f.StringVar(&t.cert, "cert", "", "with --server: PEM `FILE` with the certificate to show")
	f.StringVar(&t.key, "key", "", "with --server: PEM `FILE` with the key of --cert")
	cmd.MarkFlagsMutuallyExclusive("socket", "config", "server")
	cmd.MarkFlagsRequiredTogether("server", "ca", "cert", "key")
}

// newGroup makes cmd one that has only others below it, which share where the
// router is and how its answers are printed.
func newGroup(t *target, as *format, cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	t.flags(cmd, 30*time.Second)
	cmd.PersistentFlags().VarP(as, "output", "o", "`FORMAT`: table, json or csv")
	cmd.AddCommand(below...)
	var names []string
	for _, c := range below {
		names = append(names, c.Name())
	}
	last := len(names) - 1
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(*cobra.Command, []string) error {
		return usagef("%s what? %s or %s", cmd.Name(), strings.Join(names[:last], ", "), names[last])
	}
	return cmd
}

// client makes the client that the flags ask for.
func (t *target) client() (*api.Client, error) {
	if t.server != "" {
		c, err := api.ClientTLS(t.ca, t.cert, t.key)
		if err != nil {
			return nil, usagef("%v", err)
		}
		return api.NewTLSClient(t.server, c), nil
	}
	socket := t.socket
	if t.path != "" {
		file, err := plugin.LoadFile(t.path)
		if err != nil {
			return nil, err
		}
		if socket = file.Config.Control.Socket; socket == "" {
			return nil, usagef("%s: control.socket is empty; use --server", t.path)
		}
	}
	return api.NewClient(socket), nil
}

// ask is an action that asks the router.
func (t *target) ask(f func(ctx context.Context, cmd *cobra.Command, args []string, c *api.Client) error) func(*cobra.Command, []string) error {
	return action(func(cmd *cobra.Command, args []string) error {
		return t.call(cmd.Context(), func(ctx context.Context, c *api.Client) error { return f(ctx, cmd, args, c) })
	})
}

// call calls f with a client of the router.
func (t *target) call(ctx context.Context, f func(context.Context, *api.Client) error) error {
	client, err := t.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return f(ctx, client)
}

func newReload() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "make the running router read its configuration again",
		Long: "Reload makes the running router read its configuration and its files of softwires again.\n" +
			"What stays is not interrupted. If anything is wrong, or cannot change while the router\n" +
			"runs, nothing is changed, and every reason is printed.",
		Example: "  lwaftr check && lwaftr reload\n  lwaftr reload --socket /run/lw4o6/control.sock",
		Args:    cobra.NoArgs,
		RunE: t.ask(func(ctx context.Context, cmd *cobra.Command, _ []string, c *api.Client) error {
			r, err := c.Reload(ctx)
			if err != nil {
				return err
			}
			text := fmt.Sprintf("reloaded: %d softwires added or changed, %d removed", r.Put, r.Removed)
			if len(r.Settings) > 0 {
				text += "; changed: " + strings.Join(r.Settings, ", ")
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		}),
	}
	t.flags(cmd, 2*time.Minute)
	return cmd
}

// newOrder makes cmd one that has the router do something at once, and prints
// nothing.
func newOrder(cmd *cobra.Command, do func(ctx context.Context, c *api.Client, args []string) error) *cobra.Command {
	var t target
	cmd.RunE = t.ask(func(ctx context.Context, _ *cobra.Command, args []string, c *api.Client) error {
		return do(ctx, c, args)
	})
	t.flags(cmd, 30*time.Second)
	return cmd
}

func newPCPReset() *cobra.Command {
	return newOrder(&cobra.Command{
		Use:   "pcp-reset",
		Short: "have all PCP clients ask for their port sets again",
		Long: "Pcp-reset begins a new epoch (RFC 6887 section 8.5): the running router tells all PCP clients\n" +
			"that it knows, pcp.announce-rate per second, and each asks for its port set again within a few\n" +
			"seconds. It gets the one that it has. It does not wait for the end, and a router that restarts\n" +
			"meanwhile goes on.",
		Example: "  lwaftr pcp-reset",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, c *api.Client, _ []string) error { return c.ResetPCP(ctx) })
}

func newResync() *cobra.Command {
	return newOrder(&cobra.Command{
		Use:   "resync",
		Short: "make the running router compare its data plane with its table",
		Long: "Resync makes the running router read back what its data plane holds, and mend what differs\n" +
			"from its table. What is right is not interrupted. It does not wait for the end; see\n" +
			"last sync of lwaftr show status.",
		Example: "  lwaftr resync",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, c *api.Client, _ []string) error { return c.Resync(ctx) })
}

func newLogLevel() *cobra.Command {
	return newOrder(&cobra.Command{
		Use:   "log-level LEVEL",
		Short: "change what the running router logs",
		Long: "Log-level changes what the running router logs: error, warning, info, debug or trace. It lasts until\n" +
			"the router is started again, or its configuration gets another log section.",
		Example:   "  lwaftr log-level debug",
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"error", "warning", "info", "debug", "trace"},
	}, func(ctx context.Context, c *api.Client, args []string) error { return c.SetLogLevel(ctx, args[0]) })
}
