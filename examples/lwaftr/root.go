package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/control/api"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // at run time
	exitUsage   = 2 // bad configuration or usage
)

// defaultFile is the configuration that is used if none is named.
const defaultFile = "/etc/lw4o6/lwaftr.yaml"

// execute runs one command line and returns its exit code. Tests give options
// to the router that it runs.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer, options ...plugin.Option) int {
	root := newRoot(options...)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	for _, line := range errorLines(err) {
		fmt.Fprintln(stderr, line)
	}
	return exitCode(err)
}

func newRoot(options ...plugin.Option) *cobra.Command {
	root := &cobra.Command{
		Use:   "lwaftr",
		Short: "lightweight 4over6 border router (lwAFTR, RFC 7596)",
		Long: "Lwaftr moves packets between the IPv4 Internet and subscribers behind an IPv6-only\n" +
			"access network, who share IPv4 addresses by port sets (RFC 7596).",
		Example: "  lwaftr check --print-reference > lwaftr.yaml\n" +
			"  lwaftr check -c lwaftr.yaml\n" +
			"  lwaftr run -c lwaftr.yaml\n" +
			"  lwaftr show status",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newRun(options), newCheck(), newHistory(), newLogLevel(), newReload(), newResync(), newLease(), newPool(), newPCP(), newPCPReset(), newBackup(), newBGP(), newDrain(), newRestore(), newShow(), newSupportBundle(), newTeardown(), newTrace(), newUndrain(), newVersion(), newWho())
	return root
}

// action makes the errors of a command tell from those of its command line,
// which cobra finds before the command runs.
func action(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := f(cmd, args); err != nil {
			return &actionError{err}
		}
		return nil
	}
}

// actionError is an error of a command that was understood.
type actionError struct{ err error }

func (e *actionError) Error() string { return e.err.Error() }
func (e *actionError) Unwrap() error { return e.err }

// usageError is a command line that only the command itself finds wrong.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// exitCode says what an error is: the operator's, or one of the run time.
func exitCode(err error) int {
	var ran *actionError
	var usage *usageError
	var bad *plugin.ConfigError
	var lines config.Errors
	var refused *api.Error
	switch {
	case err == nil:
		return exitOK
	case !errors.As(err, &ran), errors.As(err, &usage), errors.As(err, &bad), errors.As(err, &lines):
		return exitUsage
	case errors.As(err, &refused) && refused.Status == http.StatusUnprocessableEntity:
		return exitUsage
	}
	return exitFailure
}

// errorLines is err for people: one line per problem, and a line that names a
// file as it is.
func errorLines(err error) []string {
	if err == nil {
		return nil
	}
	var ran *actionError
	if !errors.As(err, &ran) {
		return []string{fmt.Sprintf("lwaftr: %v (see lwaftr --help)", err)}
	}
	var refused *api.Error
	if errors.As(err, &refused) {
		return append(refused.Details[:len(refused.Details):len(refused.Details)], "lwaftr: "+refused.Message)
	}
	var all []string
	for _, e := range element.Each(ran.err) {
		line := "lwaftr: " + e.Error()
		var placed *config.Error
		if errors.As(e, &placed) {
			line = e.Error()
		}
		all = append(all, line)
	}
	return all
}
