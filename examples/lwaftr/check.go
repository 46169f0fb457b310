package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/config/bindings"
)

func newCheck() *cobra.Command {
	var path string
	var reference bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "check a configuration with all its files",
		Long: "Check reads a configuration and every file of softwires that it names, looks up the\n" +
			"names in it that clients are told, and reports\n" +
			"everything that is wrong, one line per error with file, line and element. It needs no\n" +
			"running router and changes nothing.",
		Example: "  lwaftr check -c lwaftr.yaml\n  lwaftr check --print-reference",
		Args:    cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			if reference {
				_, err := fmt.Fprint(cmd.OutOrStdout(), plugin.Reference())
				return err
			}
			return check(cmd, path)
		}),
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&reference, "print-reference", false, "print a configuration with every key explained, and check nothing")
	return cmd
}

func check(cmd *cobra.Command, path string) error {
	f, err := plugin.LoadFile(path)
	if err != nil {
		return err
	}
	table, err := f.Check(cmd.Context(), func(p bindings.Progress) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d softwires read, %d of %d KiB\n", p.File, p.Rows, p.Bytes>>10, p.Size>>10)
	})
	if err != nil {
		return err
	}
	if err := f.CheckNames(cmd.Context()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: good: %d pools, %d softwires\n", path, len(f.Config.Pools), table.Snapshot().Len())
	return err
}
