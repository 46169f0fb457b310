// Command bench measures the lwAFTR and, in the same run and taking turns, a
// peer that does comparable work without it: absolute figures say more about the
// machine than about the code, ratios are what stays.
//
// It prints a table for people and, with -o, writes a JSON array for programs:
// objects of name, value, unit, peer and ratio, the ratio being that of value to
// the peer's value, null where there is no peer.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], fullScale(), benches, os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// scale is how large the measurements are.
type scale struct {
	bindings     int // of the binding table
	fewBindings  int // where the table is not what is measured
	flows        int // packets of different flows
	largeFlows   int // the same for large packets
	leaseCount   int
	rateTime     time.Duration
	attackTime   time.Duration // on the clock of the attack
	attackBefore time.Duration // the same, before anything is counted
	smallBatches int
	tcpTime      time.Duration
	pcpClients   int           // of the PCP server
	pcpPeers     int           // clients of miniupnpd
	exchangeTime time.Duration // in whole seconds
	withdrawn    int           // softwires of the pool that is withdrawn
	kills        int           // of one kind
	holds        int           // of the history
	queries      int           // of one measurement
	binaries     string        // the folder of lwaftr and lwb4
	onVPP        vppScale
	say          func(format string, args ...any) // prints a line about progress
}

// fullScale is what make bench measures.
func fullScale() scale {
	return scale{
		bindings:     maxBindings,
		fewBindings:  1 << 16,
		flows:        1 << 19,
		largeFlows:   1 << 13,
		leaseCount:   1_000_000,
		rateTime:     time.Second,
		attackTime:   2 * time.Second,
		attackBefore: 2 * time.Second, // a rate limit lets a burst pass first
		smallBatches: 20_000,
		tcpTime:      3 * time.Second,
		exchangeTime: 3 * time.Second,
		onVPP: vppScale{
			bindings: maxBindings, fewBindings: 16 * setsUsed, flows: 1 << 17, rateTime: 300 * time.Millisecond,
			churnTime: 5 * time.Second, changes: 1000, splits: 50, load: 250_000, hugePages: true,
		},
		pcpClients: 100_000,
		pcpPeers:   64,
		withdrawn:  100_000,
		kills:      20,
		holds:      100_000_000,
		queries:    1000,
	}
}

// benches are all there are, in the order of the report. What one holds is
// given back before the next begins.
func benches(s scale) []bench {
	return []bench{
		{"forwarding", s.forwarding},
		{"fragments", s.fragments},
		{"attack", s.attack},
		{"load", s.load},
		{"tcp", s.tcp},
		{"leases", s.leases},
		{"dhcp", s.dhcp},
		{"pcp", s.pcp},
		{"scrape", s.scrape},
		{"vpp", s.vpp},
		{"withdrawals", s.withdrawals},
		{"history", s.history},
	}
}

// run is main without the process around it.
func run(ctx context.Context, args []string, s scale, benches func(scale) []bench, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	file := flags.String("o", "", "write the figures as JSON to this file")
	only := flags.String("run", "", "measure only `BENCH/FIGURE`: regular expressions for the names of benches and, behind a slash, of their figures")
	repeat := flags.Int("repeat", 5, "how often each figure is measured; the median counts")
	flags.StringVar(&s.binaries, "bin", "build", "the folder of the commands lwaftr and lwb4")
	if err := flags.Parse(args); err != nil {
		return err
	}
	which, figures, _ := strings.Cut(*only, "/")
	h := harness{repeat: *repeat, out: out}
	var err error
	if h.benches, err = regexp.Compile(which); err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if h.only, err = regexp.Compile(figures); err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if *repeat < 1 {
		return errors.New("-repeat: at least 1")
	}
	// What the figures start runs elsewhere.
	if s.binaries, err = filepath.Abs(s.binaries); err != nil {
		return err
	}
	s.say = func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	err = h.run(ctx, benches(s))
	h.skippedLines()
	if *file != "" && len(h.figures) > 0 {
		if writeErr := writeJSON(*file, h.figures); writeErr != nil {
			err = errors.Join(err, writeErr)
		}
	}
	return err
}
