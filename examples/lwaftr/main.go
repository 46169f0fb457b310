// Lwaftr is the lightweight 4over6 border router as a command: it runs the
// router, checks its configuration, and shows and orders what a running one
// does. Exit codes: 0 is success, 1 a failure at run time, 2 a bad configuration
// or usage. Errors go to standard error, one line each.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
