package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/integration/chaos/disk"
)

func main() {
	maybeChild()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// errBroken reports that an invariant broke.
var errBroken = errors.New("invariants broke")

// command is main without the process around it.
func command(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	runs := flags.Int("runs", 20, "how many runs")
	seed := flags.Uint64("seed", rand.Uint64(), "of the first run; each has the next one")
	parallel := flags.Int("parallel", 4, "runs at once; they mostly wait")
	binary := flags.String("child", os.Args[0], "the program whose children are killed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	fmt.Fprintf(out, "chaos: %d runs from seed %d\n", *runs, *seed)
	total, err := many(ctx, *binary, *seed, *runs, *parallel, out)
	fmt.Fprintln(out, "chaos:", total)
	if err == nil && len(total.broken) > 0 {
		err = errBroken
	}
	return err
}

// summary is what many runs did.
type summary struct {
	runs, lives  int
	asked, acked int64
	claims       int
	killed       int
	disk         disk.Counts
	broken       []Result
}

// String is for people.
func (s summary) String() string {
	return fmt.Sprintf("%d runs: %d operations, %d acknowledged; %d lives, %d of them killed by time and %d at a write; "+
		"%d faults in %d writes and syncs, %d losses of power; %d claims looked up in the history; %d runs broke an invariant",
		s.runs, s.asked, s.acked, s.lives, s.killed, s.disk.Kills, s.disk.Faults, s.disk.Calls, s.disk.Losses, s.claims, len(s.broken))
}

func (s *summary) add(r Result) {
	s.runs++
	s.lives += r.Lives
	s.asked += r.Asked
	s.acked += r.Acked
	s.claims += r.Claims
	s.killed += r.Killed
	s.disk.Calls += r.Disk.Calls
	s.disk.Faults += r.Disk.Faults
	s.disk.Kills += r.Disk.Kills
	s.disk.Losses += r.Disk.Losses
	if len(r.Broken) > 0 {
		s.broken = append(s.broken, r)
	}
}

// many makes runs and prints those that broke something as soon as they have.
func many(ctx context.Context, binary string, seed uint64, runs, parallel int, out io.Writer) (total summary, err error) {
	var mu sync.Mutex
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(parallel, 1))
	for n := range runs {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			r, err := execute(ctx, binary, seed+uint64(n), func(*disk.Disk) {})
			if err != nil {
				return fmt.Errorf("seed %d: %w", seed+uint64(n), err)
			}
			mu.Lock()
			defer mu.Unlock()
			total.add(r)
			for _, b := range r.Broken[:min(len(r.Broken), 5)] { // the others follow from these
				fmt.Fprintf(out, "seed %d: %s\n", r.Seed, b)
			}
			if total.runs%50 == 0 {
				fmt.Fprintf(out, "chaos: %d runs after %s\n", total.runs, time.Since(began).Round(time.Second))
			}
			return nil
		})
	}
	err = group.Wait()
	return total, err
}
