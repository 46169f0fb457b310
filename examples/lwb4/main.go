// Command lwb4 is a CPE for Lightweight 4over6 with static settings (RFC 7596
// section 5): it translates a LAN's IPv4 into one port set and carries it to
// the lwAFTR in IPv6.
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
