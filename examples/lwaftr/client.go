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
	socket, path string
	timeout      time.Duration
}

// flags declares the flags of t on cmd and all its subcommands.
func (t *target) flags(cmd *cobra.Command, timeout time.Duration) {
	f := cmd.PersistentFlags()
	f.StringVar(&t.socket, "socket", control.DefaultConfig().Socket, "control socket of the router, a `PATH`")
	f.StringVarP(&t.path, "config", "c", "", "take the control socket from this configuration `FILE`")
	f.DurationVar(&t.timeout, "timeout", timeout, "give up after this `DURATION`")
	cmd.MarkFlagsMutuallyExclusive("socket", "config")
}

// call calls f with a client of the router.
func (t *target) call(ctx context.Context, f func(context.Context, *api.Client) error) error {
	socket := t.socket
	if t.path != "" {
		file, err := plugin.LoadFile(t.path)
		if err != nil {
			return err
		}
		if socket = file.Config.Control.Socket; socket == "" {
			return usagef("%s: control.socket is empty, so its router cannot be talked to", t.path)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	client := api.NewClient(socket)
	defer client.Close()
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
		RunE: action(func(cmd *cobra.Command) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *api.Client) error {
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
			})
		}),
	}
	t.flags(cmd, 2*time.Minute)
	return cmd
}
