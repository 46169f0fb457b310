package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lwaftr/lw4o6/plugin"
	"github.com/lwaftr/lw4o6/plugin/config"
	"github.com/lwaftr/lw4o6/plugin/config/bindings"
)

func newCheck() *cobra.Command {
	var path string
	var as format
	var reference bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "check a configuration with all its files",
		Long: "Check reads a configuration and every file of softwires that it names, looks up the\n" +
			"names in it that clients are told, and reports\n" +
			"everything that is wrong, one line per error with file, line and element. It needs no\n" +
			"running router and changes nothing.",
		Example: "  lwaftr check -c lwaftr.yaml\n  lwaftr check -c lwaftr.yaml -o json\n  lwaftr check --print-reference",
		Args:    cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			if reference {
				_, err := fmt.Fprint(cmd.OutOrStdout(), plugin.Reference())
				return err
			}
			return check(cmd, path, as)
		}),
	}
	configFlag(cmd, &path)
	cmd.Flags().VarP(&as, "output", "o", "`FORMAT`: table or json")
	cmd.Flags().BoolVar(&reference, "print-reference", false, "print a configuration with every key explained, and check nothing")
	return cmd
}

// checked is what check prints for programs.
type checked struct {
	File string `json:"file"`
	// Of a good configuration, otherwise 0.
	Pools     int `json:"pools"`
	Softwires int `json:"softwires"`

	Errors []config.Problem `json:"errors"`
}

func check(cmd *cobra.Command, path string, as format) error {
	c := checked{File: path}
	err := c.read(cmd)
	switch {
	case as == formatJSON:
		c.Errors = config.Problems(err)
		return errors.Join(err, printJSON(cmd.OutOrStdout(), c))
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: good: %d pools, %d softwires\n", c.File, c.Pools, c.Softwires)
	return err
}

// read reads the file and all that it names.
func (c *checked) read(cmd *cobra.Command) error {
	f, err := plugin.LoadFile(c.File)
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
	c.Pools, c.Softwires = len(f.Config.Pools), table.Snapshot().Len()
	return nil
}
