package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// output is how answers are printed: for people or for programs.
type output struct{ format format }

func (o *output) flags(cmd *cobra.Command) {
	o.format = formatTable
	cmd.PersistentFlags().VarP(&o.format, "output", "o", "output `format`: table or json")
}

// format is a pflag.Value, so that a wrong one is an error of the command line.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
)

// String is the format's name.
func (f *format) String() string { return string(*f) }

// Type is what --help calls the value.
func (f *format) Type() string { return "format" }

// Set accepts a format's name.
func (f *format) Set(s string) error {
	if s != string(formatTable) && s != string(formatJSON) {
		return fmt.Errorf("%q is neither %s nor %s", s, formatTable, formatJSON)
	}
	*f = format(s)
	return nil
}

// print writes value as JSON, or what fill makes of it as a table.
func (o *output) print(w io.Writer, value any, fill func(*table)) error {
	if o.format == formatJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(value)
	}
	t := newTable(w)
	fill(t)
	return t.flush()
}

// table is columns for people.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer) *table {
	return &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
}

// row adds one line.
func (t *table) row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(t.w, "\t")
		}
		fmt.Fprint(t.w, c)
	}
	fmt.Fprintln(t.w)
}

func (t *table) flush() error { return t.w.Flush() }
