package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/examples/lwaftr/internal/bundle"
	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// supportOptions are what an operator asks of a bundle.
type supportOptions struct {
	target      target
	file        string // the configuration
	unit        string // of the log
	subscribers bool
}

func newSupportBundle() *cobra.Command {
	var o supportOptions
	cmd := &cobra.Command{
		Use:   "support-bundle FILE",
		Short: "collect what somebody needs who is to help",
		Long: "Support-bundle writes a tar.gz with how the router is: status, pools, counters, metrics, softwires that\n" +
			"the data plane has not taken, goroutines, the end of the log, the configuration and the version. What\n" +
			"cannot be had is named in it, so that it works without a running router too. Passwords and comments\n" +
			"of the configuration are left out. Addresses, but those of the router itself, and attributes of leases\n" +
			"are replaced by names that are the same throughout one bundle and mean nothing outside of it.",
		Example: "  lwaftr support-bundle /tmp/lwaftr.tar.gz\n  lwaftr support-bundle -c lwaftr.yaml --with-subscribers bundle.tar.gz",
		Args:    cobra.ExactArgs(1),
		RunE:    action(func(cmd *cobra.Command, args []string) error { return supportBundle(cmd, o, args[0]) }),
	}
	o.target.flags(cmd, time.Minute)
	cmd.Flags().BoolVar(&o.subscribers, "with-subscribers", false, "leave addresses and attributes as they are")
	cmd.Flags().StringVar(&o.unit, "unit", "lwaftr", "the systemd `UNIT` whose log is taken")
	return cmd
}

func supportBundle(cmd *cobra.Command, o supportOptions, path string) error {
	if o.file = o.target.path; o.file == "" {
		o.file = defaultFile
	}
	client, clientErr := o.target.client()
	if clientErr == nil {
		defer client.Close()
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), o.target.timeout)
	defer cancel()
	ask := func(f func(context.Context, *api.Client, io.Writer) error) func(context.Context, io.Writer) error {
		return func(ctx context.Context, w io.Writer) error {
			if clientErr != nil {
				return clientErr
			}
			return f(ctx, client, w)
		}
	}
	clean := bundle.NewCleaner(ownAddresses(o.file)).Clean
	if o.subscribers {
		clean = func(text string) string { return text }
	}
	now := time.Now().UTC()
	folder := "lwaftr-" + now.Format("20060102T150405Z")
	var missing []string
	size, err := writeNew(path, func(w io.Writer) (err error) {
		missing, err = bundle.Write(ctx, w, folder, now, []bundle.Part{
			{Name: "version", Get: writeVersion},
			{Name: "config.yaml", Get: o.writeConfig},
			{Name: "status.json", Get: ask(answer((*api.Client).Status))},
			{Name: "pools.json", Get: ask(answer((*api.Client).Pools))},
			{Name: "counters.json", Get: ask(answer((*api.Client).Counters))},
			{Name: "problems.json", Get: ask(writeProblems)},
			{Name: "metrics", Get: ask(func(ctx context.Context, c *api.Client, w io.Writer) error { return c.Metrics(ctx, w) })},
			{Name: "goroutines", Get: ask(func(ctx context.Context, c *api.Client, w io.Writer) error { return c.Goroutines(ctx, w) })},
			{Name: "log", Get: o.writeLog},
		}, clean)
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range missing {
		fmt.Fprintf(cmd.ErrOrStderr(), "lwaftr: %s is missing, or not whole: see missing in the bundle\n", name)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes\n", path, size)
	return err
}

// ownAddresses are those of the router itself, by its configuration; none if that
// cannot be read.
func ownAddresses(file string) []netip.Addr {
	f, err := plugin.LoadFile(file)
	if err != nil {
		return nil
	}
	c := f.Config
	own := append(c.Pools.BRs(), c.Dataplane.Forwarder.IPv4Address, c.Dataplane.VPP.IPv4Address)
	for _, p := range c.Pools.Prefixes() {
		own = append(own, p.Addr())
	}
	return own
}

func writeVersion(_ context.Context, w io.Writer) error {
	_, err := fmt.Fprintf(w, "lwaftr %s, %s %s/%s, %d CPUs\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	return err
}

func (o supportOptions) writeConfig(_ context.Context, w io.Writer) error {
	text, err := os.ReadFile(o.file)
	if err != nil {
		return err
	}
	if text, err = bundle.WithoutSecrets(text); err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// logLines is how much of the log is taken.
const logLines = "5000"

func (o supportOptions) writeLog(ctx context.Context, w io.Writer) error {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "journalctl", "--unit", o.unit, "--lines", logLines, "--no-pager", "--output", "short-iso")
	cmd.Stdout, cmd.Stderr = w, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("journalctl: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// answer writes what a call returns.
func answer[T any](call func(*api.Client, context.Context) (T, error)) func(context.Context, *api.Client, io.Writer) error {
	return func(ctx context.Context, c *api.Client, w io.Writer) error {
		v, err := call(c, ctx)
		if err != nil {
			return err
		}
		return printJSON(w, v)
	}
}

// maxListed is how many softwires with a problem are written.
const maxListed = 10_000

func writeProblems(ctx context.Context, c *api.Client, w io.Writer) error {
	var all []api.Softwire
	for s, err := range c.Softwires(ctx, api.SoftwireFilter{Problems: true}) {
		if err != nil {
			return errors.Join(err, printJSON(w, all))
		}
		if all = append(all, s); len(all) == maxListed {
			break
		}
	}
	return printJSON(w, all)
}
