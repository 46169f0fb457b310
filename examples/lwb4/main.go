// Command lwb4 is a CPE for Lightweight 4over6 (RFC 7596 section 5): it translates
// a LAN's IPv4 into the port sets that the carrier assigns and carries it to the
// lwAFTR in IPv6.
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
