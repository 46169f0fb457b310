// Command run runs the packet cases of the folder that LW4O6_VECTORS names
// (default ../shared/vectors, seen from the root of the repository) on a data
// plane: the embedded forwarder, or with -dataplane vpp a private VPP for each
// case. It prints a line per case and a last line
//
//	N passed, N failed, N skipped
//
// and exits with 0 only if nothing failed and something passed.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/lwaftr/lw4o6/integration/vectors"
	"github.com/lwaftr/lw4o6/integration/vectors/forwarderrig"
	"github.com/lwaftr/lw4o6/integration/vectors/vpprig"
	"github.com/lwaftr/lw4o6/vppdrv/vpptest"
)

func main() {
	name := flag.String("dataplane", "forwarder", "what runs the cases: forwarder or vpp")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, *name, vectors.Folder("."), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// dataPlane is what can run cases.
type dataPlane struct {
	start      vectors.Factory
	deviations []vectors.Deviation
	find       func() (path string, err error) // what the machine needs for it
}

func dataPlanes() map[string]dataPlane {
	return map[string]dataPlane{
		"forwarder": {forwarderrig.Start, nil, func() (string, error) { return "", nil }},
		"vpp":       {vpprig.Start, vpprig.Deviations(), vpptest.Usable},
	}
}

// run runs the cases of a folder on a data plane and returns the exit code.
func run(ctx context.Context, name, folder string, stdout, stderr io.Writer) int {
	cases, err := vectors.Load(os.DirFS(folder))
	plane, known := dataPlanes()[name]
	switch {
	case err != nil:
		err = fmt.Errorf("%s: %w\nset %s to a folder of vectors", folder, err, vectors.Environment)
	case !known:
		err = fmt.Errorf("-dataplane %s: want forwarder or vpp", name)
	default:
		_, err = plane.find()
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		fmt.Fprintln(stdout, vectors.Tally{})
		return 2
	}
	fmt.Fprintf(stdout, "%d cases on the data plane %s\n", len(cases), name)
	vectors.Deviate(cases, plane.deviations)
	tally := vectors.Run(ctx, cases, plane.start, func(r vectors.Result) { fmt.Fprintln(stdout, r) })
	if err := ctx.Err(); err != nil {
		fmt.Fprintln(stderr, "interrupted, cases are missing")
	}
	fmt.Fprintln(stdout, tally)
	if tally.Failed > 0 || tally.Passed == 0 || ctx.Err() != nil {
		return 1
	}
	return 0
}
