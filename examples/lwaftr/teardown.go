package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin"
)

// teardownLimit bounds a teardown. VPP takes some seconds for a million
// softwires.
const teardownLimit = 2 * time.Minute

func newTeardown() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "take what a stopped router has left out of the data plane",
		Long: "Teardown takes everything out of VPP that a router with this configuration made there, and\n" +
			"nothing else. A router that stops leaves it, so that packets go on while it is restarted.\n" +
			"Of the forwarder nothing is left when it stops. `lwaftr run --teardown` does this when it stops.",
		Example: "  lwaftr teardown\n  lwaftr teardown -c /etc/lw4o6/lwaftr.yaml",
		Args:    cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			f, err := plugin.LoadFile(path)
			if err != nil {
				return err
			}
			if err := refuseRunning(cmd.Context(), f.Config.Control.Socket); err != nil {
				return err
			}
			log := logrus.New()
			log.SetOutput(cmd.ErrOrStderr())
			f.Config.Log.Apply(log)
			if err := teardown(cmd.Context(), f, log); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "data plane %s: nothing of this router is left in it\n", f.Config.Dataplane.Type)
			return err
		}),
	}
	configFlag(cmd, &path)
	return cmd
}

var errRuns = errors.New("a router listens there, which would make all of it again; stop it first")

// refuseRunning reports a router that runs with a control socket.
func refuseRunning(ctx context.Context, socket string) error {
	if socket == "" {
		return nil
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil
	}
	_ = conn.Close() // nothing was written
	return fmt.Errorf("%s: %w", socket, errRuns)
}

// teardown takes what a router with f left out of its data plane.
func teardown(ctx context.Context, f *plugin.File, log logrus.FieldLogger) error {
	ctx, cancel := context.WithTimeout(ctx, teardownLimit)
	defer cancel()
	return f.Config.Dataplane.Teardown(ctx, log)
}
