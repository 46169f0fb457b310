package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin/control/api"
)

func newDrain() *cobra.Command {
	var t target
	var as format
	var noWait bool
	cmd := &cobra.Command{
		Use:   "drain [POOL]...",
		Short: "take pools out of the network, without losing packets",
		Long: "Drain asks peers to send traffic elsewhere (RFC 8326), waits until it has gone or the time\n" +
			"is over, and withdraws the routes; of all pools if none is named. It stays so over restarts\n" +
			"until lwaftr undrain. Pools that share a route are drained together. The state is printed as\n" +
			"it changes; interrupting that does not end the drain.",
		Example: "  lwaftr drain\n  lwaftr drain residential --no-wait",
		RunE: t.ask(func(ctx context.Context, cmd *cobra.Command, args []string, c *api.Client) error {
			if err := c.Drain(ctx, args...); err != nil {
				return err
			}
			if noWait {
				return nil
			}
			var last string
			return watch(ctx, c, args, func(pools []api.BGPPool) (bool, error) {
				err := printProgress(cmd.OutOrStdout(), as, &last, pools)
				left := slices.ContainsFunc(pools, func(p api.BGPPool) bool { return p.State != "drained" })
				return !left, err
			})
		}),
	}
	t.flags(cmd, 15*time.Minute)
	cmd.Flags().VarP(&as, "output", "o", "`FORMAT`: table, json (an object per line) or csv")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return when the drain has begun")
	return cmd
}

func newUndrain() *cobra.Command {
	return newOrder(&cobra.Command{
		Use:   "undrain [POOL]...",
		Short: "announce drained pools again",
		Long: "Undrain ends drains, and whatever else keeps good pools from being announced: holds and\n" +
			"hold-downs. It is about all pools if none is named. It does not wait; see lwaftr bgp show.",
		Example: "  lwaftr undrain\n  lwaftr undrain residential",
	}, func(ctx context.Context, c *api.Client, args []string) error { return c.Undrain(ctx, args...) })
}

// errNotDrained is why a command ends before a drain does.
var errNotDrained = errors.New("the drain goes on, and this command does not wait any longer: see lwaftr bgp show")

// watch calls look with the named pools, or all, until it is done.
func watch(ctx context.Context, c *api.Client, names []string, look func([]api.BGPPool) (done bool, err error)) error {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		b, err := c.BGP(ctx)
		if ctx.Err() != nil {
			return errNotDrained
		}
		if err != nil {
			return err
		}
		pools := slices.DeleteFunc(b.Pools, func(p api.BGPPool) bool {
			return len(names) > 0 && !slices.Contains(names, p.Name)
		})
		if done, err := look(pools); done || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errNotDrained
		}
	}
}

// printProgress prints where pools stand, unless that is what was printed last.
func printProgress(w io.Writer, as format, last *string, pools []api.BGPPool) error {
	var text strings.Builder
	if as == formatJSON {
		for _, one := range pools {
			if err := json.NewEncoder(&text).Encode(one); err != nil {
				return err
			}
		}
	} else {
		p := newPrinter(&text, as)
		for _, one := range pools {
			rate := "-"
			if one.PacketRate != nil {
				rate = fmt.Sprintf("%.0f", *one.PacketRate)
			}
			p.row(one.Name, one.State, rate, "packets/s")
		}
		if err := p.flush(); err != nil {
			return err
		}
	}
	if text.String() == *last {
		return nil
	}
	*last = text.String()
	_, err := io.WriteString(w, *last)
	return err
}
