// Command run runs the packet cases of the folder that LW4O6_VECTORS names
// (default ../shared/vectors, seen from the root of the repository) on the
// embedded forwarder. It prints a line per case and a last line
//
//	N passed, N failed, N skipped
//
// and exits with 0 only if nothing failed and something passed.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/lwaftr/lw4o6/integration/vectors"
	"github.com/lwaftr/lw4o6/integration/vectors/forwarderrig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, vectors.Folder("."), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the cases of a folder and returns the exit code.
func run(ctx context.Context, folder string, stdout, stderr io.Writer) int {
	cases, err := vectors.Load(os.DirFS(folder))
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\nset %s to a folder of vectors\n", folder, err, vectors.Environment)
		fmt.Fprintln(stdout, vectors.Tally{})
		return 2
	}
	tally := vectors.Run(ctx, cases, forwarderrig.Start, func(r vectors.Result) { fmt.Fprintln(stdout, r) })
	if err := ctx.Err(); err != nil {
		fmt.Fprintln(stderr, "interrupted, cases are missing")
	}
	fmt.Fprintln(stdout, tally)
	if tally.Failed > 0 || tally.Passed == 0 || ctx.Err() != nil {
		return 1
	}
	return 0
}
