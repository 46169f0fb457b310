package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/cpe"
	"github.com/lwaftr/lw4o6/plugin/config"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // something went wrong while running
	exitUsage  = 2 // the configuration or the command line is wrong
)

// usageError is an error of whoever started the program.
type usageError struct{ error }

// Unwrap is the error itself.
func (e usageError) Unwrap() error { return e.error }

// run is the program: it returns the exit code, and writes errors to stderr,
// one per line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:   "lwb4",
		Short: "A CPE for Lightweight 4over6",
		Long: `lwb4 is the subscriber's end of a softwire (RFC 7596): it translates the IPv4
of a LAN into port sets of a shared address with nftables, and carries it to the
lwAFTR in IPv6, by the kernel's tunnel where there is one and by a TUN device
otherwise. It needs root. When it stops it takes away everything it made.`,
		SilenceUsage: true, SilenceErrors: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(runCommand(stderr), checkCommand(), statusCommand())
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(stderr, "lwb4: "+strings.TrimRight(line, "\n"))
	}
	// What fails before a command starts is its arguments.
	if errors.As(err, new(usageError)) || !started {
		return exitUsage
	}
	return exitFailed
}

func runCommand(stderr io.Writer) *cobra.Command {
	var s flags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Be the CPE until a signal ends it",
		Example: `  lwb4 run -c /etc/lwb4.yaml
  lwb4 run --b4-ipv6-addr 2001:db8:1::1 --br-ipv6-addr 2001:db8:ffff::1 \
    --ipv4-addr 192.0.2.1 --psid-len 6 --psid 5 --lan lan0 --lan-prefix 192.168.1.0/24`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.config(cmd.Flags())
			if err != nil {
				return usageError{err}
			}
			log := logrus.New()
			log.SetOutput(stderr)
			log.SetLevel(c.Log.Level)
			return cpe.Run(cmd.Context(), c, log)
		},
	}
	s.add(cmd.Flags())
	return cmd
}

// checked is what check prints for programs.
type checked struct {
	Summary string           `json:"summary,omitempty"` // of settings that are right
	Errors  []config.Problem `json:"errors"`
}

func checkCommand() *cobra.Command {
	var s flags
	var json asJSON
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Say whether the settings are right, and change nothing",
		Example: "  lwb4 check -c /etc/lwb4.yaml\n  lwb4 check -c /etc/lwb4.yaml -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.config(cmd.Flags())
			answer := checked{Errors: config.Problems(err)}
			if err != nil {
				err = usageError{err}
			} else {
				answer.Summary = c.Describe()
			}
			switch {
			case bool(json):
				return errors.Join(err, printJSON(cmd, answer))
			case err == nil:
				_, err = fmt.Fprintln(cmd.OutOrStdout(), answer.Summary)
			}
			return err
		},
	}
	s.add(cmd.Flags())
	json.flag(cmd)
	return cmd
}
