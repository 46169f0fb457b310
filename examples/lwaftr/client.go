package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin/control"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// asking is the flags of every command that asks a running router.
type asking struct {
	socket  string
	timeout time.Duration
}

func (a *asking) flags(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&a.socket, "socket", "s", control.DefaultConfig().Socket, "control socket of the router")
	cmd.PersistentFlags().DurationVar(&a.timeout, "timeout", time.Minute, "how long to wait for the answer")
}

// ask runs question with a client of the router.
func (a *asking) ask(ctx context.Context, question func(context.Context, *api.Client) error) error {
	if a.timeout <= 0 {
		return usageError{fmt.Errorf("--timeout %s is not positive", a.timeout)}
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	client := api.NewClient(a.socket)
	defer client.Close()
	return question(ctx, client)
}

func reloadCommand() *cobra.Command {
	var a asking
	var o output
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the router read its configuration again",
		Long: `reload makes the running router read the file that it was started with again.
All of it takes effect, or nothing: what is wrong is printed, one line each, and
the router goes on as before.`,
		Example: "  lwaftr reload",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c *api.Client) error {
				result, err := c.Reload(ctx)
				if err != nil {
					return err
				}
				return o.print(cmd.OutOrStdout(), result, func(t *table) {
					t.row("softwires added or changed", result.Put)
					t.row("softwires removed", result.Removed)
					for _, s := range result.Settings {
						t.row("changed", s)
					}
				})
			})
		},
	}
	a.flags(cmd)
	o.flags(cmd)
	return cmd
}
