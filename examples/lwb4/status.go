package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/examples/lwb4/internal/status"
)

// defaultSocket is where the status is asked for if nothing else is said.
const defaultSocket = "/run/lw4o6/lwb4.sock"

func statusCommand() *cobra.Command {
	var socket string
	var json asJSON
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say what the running CPE has, and how much of it is in use",
		Example: `  lwb4 status
  lwb4 status -s /run/lw4o6/lwb4.sock -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := status.Read(cmd.Context(), socket)
			if err != nil {
				return err
			}
			if json {
				return printJSON(cmd, s)
			}
			return s.Print(cmd.OutOrStdout(), time.Now())
		},
	}
	cmd.Flags().StringVarP(&socket, "socket", "s", defaultSocket, "what status.socket is in the CPE's configuration")
	json.flag(cmd)
	return cmd
}
