package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/config/bindings"
)

// defaultFile is where packages put the configuration.
const defaultFile = "/etc/lw4o6/lwaftr.yaml"

func fileFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("config", "c", defaultFile, "configuration `file`")
}

func runCommand(stderr io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Be the router until a signal ends it",
		Long: `run forwards packets until SIGINT or SIGTERM ends it. SIGHUP makes it read the
configuration again; one that is wrong changes nothing.`,
		Example: "  lwaftr run -c /etc/lw4o6/lwaftr.yaml",
		Args:    cobra.NoArgs,
	}
	path := fileFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return runRouter(cmd.Context(), *path, stderr)
	}
	return cmd
}

// runRouter runs the router that the file at path describes.
func runRouter(ctx context.Context, path string, stderr io.Writer) error {
	file, err := plugin.LoadFile(path)
	if err != nil {
		return usageError{err}
	}
	log := logrus.New()
	log.SetOutput(stderr)
	file.Config.Log.Apply(log)
	router, err := plugin.New(file.Config,
		plugin.WithFile(file), plugin.WithVersion(version()), plugin.WithLogger(log),
		plugin.WithLogConfig(func(c plugin.LogConfig) { c.Apply(log) }))
	if err != nil {
		return file.Locate(err)
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	ended := make(chan struct{})
	reloading := make(chan struct{})
	go func() {
		defer close(reloading)
		for {
			select {
			case <-hangups:
				reload(ctx, router, log)
			case <-ended:
				return
			}
		}
	}()
	err = router.Run(ctx)
	close(ended)
	<-reloading
	return file.Locate(err)
}

// reload does what SIGHUP asks for. Whoever sent it reads the log.
func reload(ctx context.Context, router *plugin.Plugin, log *logrus.Logger) {
	result, err := router.ReloadFile(ctx)
	if err != nil {
		for _, line := range lines(err) {
			log.Error("reload refused: " + line)
		}
		return
	}
	log.WithFields(logrus.Fields{"put": result.Put, "removed": result.Removed, "settings": result.Settings}).Info("reloaded")
}

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether a configuration is right, and change nothing",
		Example: `  lwaftr check -c /etc/lw4o6/lwaftr.yaml
  lwaftr check --print-reference > lwaftr.yaml`,
		Args: cobra.NoArgs,
	}
	path := fileFlag(cmd)
	reference := cmd.Flags().Bool("print-reference", false, "print a configuration that explains every key")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *reference {
			fmt.Fprint(cmd.OutOrStdout(), plugin.Reference())
			return nil
		}
		file, err := plugin.LoadFile(*path)
		if err != nil {
			return usageError{err}
		}
		table, err := file.Check(cmd.Context(), func(p bindings.Progress) {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d softwires read\n", p.File, p.Rows)
		})
		if err != nil {
			return usageError{err}
		}
		if _, err := plugin.New(file.Config); err != nil {
			return usageError{file.Locate(err)}
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is right: %d pools, %d softwires\n",
			*path, len(file.Config.Pools), table.Snapshot().Len())
		return nil
	}
	return cmd
}
