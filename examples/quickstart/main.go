// Command quickstart shows the project at work on one machine: CPEs that have
// only IPv6 reach an IPv4 host through the lwAFTR, in network namespaces that
// are gone afterwards. It is what `make demo` runs.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
