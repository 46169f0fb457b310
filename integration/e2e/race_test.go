//go:build race

package e2e

// buildFlags make the commands look for races as well when the tests do.
var buildFlags = []string{"-race"}
