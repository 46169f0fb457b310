package conformance

import (
	"context"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// T is what a case needs of *testing.T. Another implementation of it records
// failures instead of failing the test, see MustFail.
type T interface {
	Helper()
	Name() string
	Context() context.Context
	Cleanup(func())
	TempDir() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Failed() bool
}

// Rig is a data plane with its two sides wired to the suite.
type Rig struct {
	// Dataplane is running, and up or about to be. Softwires that a case finds
	// in it are removed first, so several cases may share one.
	Dataplane dataplane.Dataplane
	// Send puts one whole IP packet into a side. Packets of one side are
	// processed in the order they were sent.
	Send func(ctx context.Context, side dataplane.Side, packet []byte) error
	// Receive returns the next whole IP packet that came out of a side, in
	// order, or the context's error. Multicast, neighbour discovery and router
	// advertisements may be among them.
	Receive func(ctx context.Context, side dataplane.Side) ([]byte, error)
	// ExceptionLimit is how many exceptions wait at most, as the data plane is
	// configured.
	ExceptionLimit int
	// Lose makes the data plane lose its state, as a crash would, and returns
	// when that is under way. Without it no case tries.
	Lose func(ctx context.Context) error
	// Patience bounds each wait for the data plane; 10 seconds if it is zero.
	// Only failures take that long.
	Patience time.Duration
	// Unsupported names the cases that this data plane cannot do, and why.
	Unsupported map[string]string
}

// Factory makes the Rig for one case. What it starts it also ends, by
// t.Cleanup.
type Factory func(t T) *Rig

// Check is one of the checks by which a lwAFTR decides whether a lwB4 may send
// a packet (RFC 7596 section 6.2).
type Check string

// The checks that cases are about.
const (
	OuterSource      Check = "outer source"      // the softwire's lwB4 sent it
	OuterDestination Check = "outer destination" // to that softwire's BR address
	InnerAddress     Check = "inner address"     // from the softwire's IPv4 address
	InnerPort        Check = "inner port"        // and a port of its port set
)

// Checks returns every Check.
func Checks() []Check {
	return []Check{OuterSource, OuterDestination, InnerAddress, InnerPort}
}
