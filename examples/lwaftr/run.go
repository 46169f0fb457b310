package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/examples/internal/garbage"
	"github.com/lwaftr/lw4o6/plugin"
)

func newRun(options []plugin.Option) *cobra.Command {
	var path string
	var clean bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "run the router until it is told to stop",
		Long: "Run reads the configuration, starts the router and stays in the foreground. SIGTERM and\n" +
			"SIGINT stop it, SIGHUP makes it read its configuration again; a bad one is reported and\n" +
			"changes nothing. The log goes to standard error.",
		Example: "  lwaftr run -c /etc/lw4o6/lwaftr.yaml\n  kill -HUP $(pidof lwaftr)",
		Args:    cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), path, clean, cmd.ErrOrStderr(), options)
		}),
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&clean, "teardown", false, "when stopped, take everything of this router out of VPP; without it VPP goes on forwarding")
	return cmd
}

func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", defaultFile, "configuration `FILE`")
}

// run runs the router with the configuration at path until ctx or a signal ends
// it. With clean it leaves nothing in the data plane.
func run(ctx context.Context, path string, clean bool, stderr io.Writer, options []plugin.Option) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)

	f, err := plugin.LoadFile(path)
	if err != nil {
		return err
	}
	log := logrus.New()
	log.SetOutput(stderr)
	f.Config.Log.Apply(log)
	options = append([]plugin.Option{
		plugin.WithFile(f),
		plugin.WithVersion(version()),
		plugin.WithLogger(log),
		plugin.WithLogConfig(func(c plugin.LogConfig) { c.Apply(log) }),
	}, options...)
	p, err := plugin.New(f.Config, options...)
	if err != nil {
		return f.Locate(err)
	}
	if err := p.Start(ctx); err != nil {
		// Told to stop while it read its files or opened its devices.
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil
		}
		return f.Locate(err)
	}
	log.WithField("file", path).WithField("version", version()).Info("started")
	systemd := manager{log}
	systemd.started()
	var beside sync.WaitGroup
	beside.Go(func() { systemd.keepAlive(ctx, p) })
	if os.Getenv("GOGC") == "" {
		beside.Go(func() { _ = garbage.Run(ctx) })
	}
	follow(ctx, p, hangups, log, systemd)
	stop() // from now on a second signal ends the process
	log.Info("stopping")
	systemd.stopping()
	beside.Wait()
	after := context.WithoutCancel(ctx)
	if err := p.Stop(after); err != nil {
		return err
	}
	if clean {
		return errors.Join(p.Err(), teardown(after, f, log))
	}
	return p.Err()
}

// follow reloads at every hangup, and tells systemd what happens, until ctx ends or p has ended by itself.
func follow(ctx context.Context, p *plugin.Plugin, hangups <-chan os.Signal, log logrus.FieldLogger, systemd manager) {
	ready := p.Ready()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.Done():
			return
		case <-ready:
			systemd.programmed(p)
			ready = nil
		case <-hangups:
			done := systemd.reloading()
			if _, err := p.ReloadFile(ctx); err != nil {
				for _, line := range errorLines(&actionError{err}) {
					log.Error(line)
				}
				log.Error("the configuration was not taken; nothing was changed")
			}
			done()
		}
	}
}
