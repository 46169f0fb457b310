package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// Exit codes, for scripts.
const (
	exitOK     = 0
	exitFailed = 1 // something went wrong while running
	exitUsage  = 2 // the configuration or the command line is wrong
)

// usageError is an error in what the operator wrote.
type usageError struct{ error }

// Unwrap is the error itself.
func (e usageError) Unwrap() error { return e.error }

// execute is the program: it returns the exit code, and writes errors to
// stderr, one per line.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:   "lwaftr",
		Short: "A Lightweight 4over6 border router (lwAFTR)",
		Long: `lwaftr forwards between the IPv4 Internet and subscribers that share IPv4
addresses by port sets and are reached through IPv6 (RFC 7596).

"lwaftr run" is the router. The other commands ask a running one, over its
control socket. Exit codes: 0 success, 1 failure, 2 a wrong configuration or
command line.`,
		SilenceUsage: true, SilenceErrors: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(runCommand(stderr), checkCommand(), reloadCommand(), showCommand(), traceCommand(), versionCommand())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	for _, line := range lines(err) {
		fmt.Fprintln(stderr, "lwaftr: "+line)
	}
	// What fails before a command starts is its arguments.
	if errors.As(err, new(usageError)) || errors.As(err, new(config.Errors)) ||
		errors.As(err, new(*plugin.ConfigError)) || !started {
		return exitUsage
	}
	return exitFailed
}

// lines is an error as an operator reads it: one line per problem.
func lines(err error) []string {
	var e *api.Error
	if errors.As(err, &e) && len(e.Details) > 0 {
		return e.Details
	}
	return strings.Split(strings.TrimSpace(err.Error()), "\n")
}
