// Lwaftr is the lightweight 4over6 border router as a command: it runs the
// router, checks its configuration, and shows and orders what a running one
// does. Exit codes: 0 is success, 1 a failure at run time, 2 a bad configuration
// or usage. Errors go to standard error, one line each.
package main

import (
	"context"
	"os"

	"github.com/lwaftr/lw4o6/bgp/speaker"
	"github.com/lwaftr/lw4o6/plugin"
)

func main() {
	// This process may be one that the router has started to speak BGP.
	speaks := plugin.WithSpeakerProgram(speaker.Main())
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr, speaks))
}
