// Package garbage owns how much unused memory a process lets pile up before it looks
// for it. Go waits until the heap has doubled. A server with few leases that is asked
// much would look several times in a second, which takes a tenth of its time.
package garbage

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Bounds of what piles up.
const (
	// least is how many bytes are let pile up whatever is in use.
	least = 256 << 20
	// usual is how much piles up, as a percentage of what is in use, where that is
	// more. It is twice Go's default: a server with 300,000 leases and 8,000 DHCPv6
	// exchanges in a second then spends a sixth less.
	usual = 200
	// most is the highest percentage: what is in use may grow until it is looked at
	// again.
	most = 1600
	// look is how often that is.
	look = time.Second
)

// Run sets the percentage (see debug.SetGCPercent) until ctx ends, puts back what
// there was, and returns nil. Who has set the environment variable GOGC has decided,
// and does not call it.
func Run(ctx context.Context) error {
	set := usual
	defer func(before int) { debug.SetGCPercent(before) }(debug.SetGCPercent(set))
	every := time.NewTicker(look)
	defer every.Stop()
	for {
		// A tenth is not worth the moment that everything else stands still.
		if want := percent(inUse()); want > set+set/10 || want < set-set/10 {
			set = want
			debug.SetGCPercent(set)
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// percent is what has the least pile up where so many bytes are in use.
func percent(inUse uint64) int {
	return int(min(max(least*100/max(inUse, 1), usual), most))
}

// inUse is how many bytes the last look found in use.
func inUse() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return least // a Go that does not tell
	}
	return sample[0].Value.Uint64()
}
