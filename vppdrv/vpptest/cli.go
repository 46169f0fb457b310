package vpptest

import (
	"fmt"
	"strings"

	"go.fd.io/govpp/binapi/vlib"
)

// CLI runs a command line and returns what it printed. It fails the test if
// VPP refuses the command.
func (v *VPP) CLI(format string, args ...any) string {
	v.t.Helper()
	command := fmt.Sprintf(format, args...)
	output, err := v.TryCLI(command)
	if err != nil {
		v.t.Fatalf("VPP: %s: %v", command, err)
	}
	return output
}

// TryCLI is CLI for commands that may fail.
func (v *VPP) TryCLI(command string) (string, error) {
	ctx, cancel := patiently()
	defer cancel()
	reply, err := vlib.NewServiceClient(v.client).CliInband(ctx, &vlib.CliInband{Cmd: command + "\n"})
	if err != nil {
		if reply != nil {
			return reply.Reply, fmt.Errorf("%w: %s", err, strings.TrimSpace(reply.Reply))
		}
		return "", err
	}
	return reply.Reply, nil
}

// Has reports whether VPP has a plugin, by its name without suffix.
func (v *VPP) Has(plugin string) bool {
	v.t.Helper()
	return strings.Contains(v.CLI("show plugins"), plugin+"_plugin.so")
}

// Lines runs command lines, one per line of text; empty ones are skipped.
func (v *VPP) Lines(text string) {
	v.t.Helper()
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			v.CLI("%s", line)
		}
	}
}
