package main

import (
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"
)

// asJSON is the value of -o: whether a command prints JSON, or text for people.
type asJSON bool

// flag declares -o.
func (j *asJSON) flag(cmd *cobra.Command) { cmd.Flags().VarP(j, "output", "o", "text or json") }

// Set implements pflag.Value.
func (j *asJSON) Set(text string) error {
	if text != "text" && text != "json" {
		return errors.New("neither text nor json")
	}
	*j = text == "json"
	return nil
}

// String implements pflag.Value.
func (j *asJSON) String() string {
	if *j {
		return "json"
	}
	return "text"
}

// Type implements pflag.Value.
func (*asJSON) Type() string { return "string" }

func printJSON(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
}
