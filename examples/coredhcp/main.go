// Coredhcp is a coredhcp server with the plugin lw4o6 compiled in: it delegates
// prefixes by DHCPv6, and tells lwB4s of their softwires. What it does is in the
// configuration of coredhcp. Exit codes: 0 is success, 1 a failure at run time, 2 a
// bad configuration or usage.
//
// It has as few plugins as a server for lwB4s needs. For others coredhcp-generator
// makes a server; docs/dhcpv6.md says how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/coredhcp/coredhcp/config"
	"github.com/coredhcp/coredhcp/logger"
	"github.com/coredhcp/coredhcp/plugins"
	"github.com/coredhcp/coredhcp/plugins/dns"
	"github.com/coredhcp/coredhcp/plugins/prefix"
	"github.com/coredhcp/coredhcp/plugins/searchdomains"
	"github.com/coredhcp/coredhcp/plugins/serverid"
	"github.com/coredhcp/coredhcp/server"
	"github.com/sirupsen/logrus"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/lw4o6"
	"github.com/lwaftr/lw4o6/examples/internal/garbage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var usage *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// compiledIn are the plugins that a configuration may use.
func compiledIn() []*plugins.Plugin {
	return []*plugins.Plugin{&serverid.Plugin, &dns.Plugin, &searchdomains.Plugin, &prefix.Plugin, &lw4o6.Plugin}
}

// usageError is about the command line or the configuration.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// run serves until ctx ends.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("coredhcp", flag.ContinueOnError)
	file := flags.String("c", "/etc/coredhcp/config.yml", "the configuration of coredhcp")
	level := flags.String("log", "info", "what is logged: error, warning, info or debug")
	if err := flags.Parse(args); err != nil {
		return &usageError{err}
	}
	if flags.NArg() > 0 {
		return &usageError{fmt.Errorf("unexpected %q", flags.Arg(0))}
	}
	l, err := logrus.ParseLevel(*level)
	if err != nil {
		return &usageError{fmt.Errorf("-log: %w", err)}
	}
	logger.GetLogger("main").Logger.SetLevel(l)
	conf, err := config.Load(*file)
	if err != nil {
		return &usageError{err}
	}
	for _, p := range compiledIn() {
		if err := plugins.RegisterPlugin(p); err != nil {
			return err
		}
	}
	s, err := server.Start(conf)
	if err != nil {
		return err
	}
	beside, end := context.WithCancel(ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer end()
	if os.Getenv("GOGC") == "" {
		others.Go(func() { _ = garbage.Run(beside) })
	}
	// A listener that is closed ends the others.
	defer context.AfterFunc(ctx, s.Close)()
	if err := s.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}
