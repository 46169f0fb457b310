// Package garbage owns how much unused memory a process lets pile up before it looks
// for it. Go waits until the heap has doubled. A server that is asked much would look
// several times in a second, which takes a tenth of its time and more.
package garbage

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Bounds of what piles up.
const (
	// usual is how much piles up in a quiet process, as a percentage of what is in
	// use; it is Go's default.
	usual = 100
	// seldom is how long a busy process goes without looking, if that takes no more
	// memory than plenty.
	seldom = 4 * time.Second
	// most is the highest percentage: what is in use may grow until it is looked at
	// again.
	most = 1600
	// look is how often it is decided.
	look = time.Second
)

// plenty is how many bytes may pile up where so many are in use: twice as many, and
// 256 MiB in any case.
func plenty(inUse uint64) uint64 { return max(2*inUse, 256<<20) }

// Run sets the percentage (see debug.SetGCPercent) until ctx ends, puts back what
// there was, and returns nil. Who has set the environment variable GOGC has decided,
// and does not call it.
func Run(ctx context.Context) error {
	set := usual
	defer func(before int) { debug.SetGCPercent(before) }(debug.SetGCPercent(set))
	every := time.NewTicker(look)
	defer every.Stop()
	for before := measure(); ; {
		select {
		case <-every.C:
		case <-ctx.Done():
			return nil
		}
		now := measure()
		// A tenth is not worth the moment that everything else stands still.
		if want := percent(now.inUse, now.taken-before.taken); want > set+set/10 || want < set-set/10 {
			set = want
			debug.SetGCPercent(set)
		}
		before = now
	}
}

// percent is what piles up where so many bytes are in use, and so many were taken
// since the look before.
func percent(inUse, taken uint64) int {
	pile := min(taken*uint64(seldom/look), plenty(inUse))
	return int(min(max(pile*100/max(inUse, 1), usual), most))
}

// memory is in bytes: what the last look for garbage found in use, and all that was
// ever taken.
type memory struct{ inUse, taken uint64 }

func measure() (m memory) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	for i, value := range []*uint64{&m.inUse, &m.taken} {
		if samples[i].Value.Kind() == metrics.KindUint64 { // a Go that tells
			*value = samples[i].Value.Uint64()
		}
	}
	return m
}
