package scene

import (
	"context"
	"fmt"
	"time"
)

// Check is one property of the scene that is tried with real traffic.
type Check struct {
	Name string
	// try returns what was seen, in a few words.
	try func(ctx context.Context, s *Scene) (string, error)
}

// Result is what came of a Check. Err is nil if it passed.
type Result struct {
	Name     string
	Evidence string
	Err      error
	Took     time.Duration
}

// checkLimit bounds one check.
const checkLimit = 60 * time.Second

// Checks are all checks, in an order in which they can be run.
func Checks() []Check {
	return []Check{
		{"ping", ping},
		{"UDP echo", udpEcho},
		{"traceroute shows the AFTR", traceroute},
		{fmt.Sprintf("download of %d MB", fileSize/1_000_000), download},
		{fmt.Sprintf("upload of %d MB", uploadSize/1_000_000), upload},
		{"hairpin between two CPEs", hairpin},
		{"path MTU discovery with DF", pathMTU},
		{fmt.Sprintf("UDP datagrams of %d octets", longPayload), longDatagrams},
		{"ICMPv6 too big becomes ICMPv4", tooBig},
		{"ECN marks are carried", ecn},
		{"spoofed inner source", spoofedInner},
		{"spoofed outer source", spoofedOuter},
	}
}

// Run tries one check.
func (s *Scene) Run(ctx context.Context, c Check) Result {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	begin := time.Now()
	evidence, err := c.try(ctx, s)
	return Result{c.Name, evidence, err, time.Since(begin)}
}
