package vppdrv

import (
	"context"
	"fmt"

	"github.com/lwaftr/lw4o6/vppdrv/plan"
	"github.com/lwaftr/lw4o6/vppdrv/stats"
)

// What VPP 26.06 takes, in octets, as measured with `show memory`, and with room
// for vectors and hash tables that it copies when they grow.
const (
	// Of the main heap: 130 to 190 for a domain once it is there, 16 for each
	// PSID of a domain with rules, 303 for a route.
	domainHeap = 512
	ruleHeap   = 16
	// Of the stats segment, for each thread: 32 to 50 for a domain once it is
	// there.
	domainStatistics = 112
	// Of both, for all else: 41 to 47 MiB of heap and 0.6 MiB of the stats segment
	// on a machine with few interfaces, our classifier tables included.
	otherHeap       = 64 << 20
	otherStatistics = 2 << 20
	// What Sizing adds for routes of the operator, and for growth.
	spareHeap       = 64 << 20
	spareStatistics = 14 << 20
	// sizeStep is what Sizing rounds up to.
	sizeStep = 32 << 20
)

// Sizing returns the octets that VPP needs for a table: Heap for the setting
// main-heap-size of the section memory of its startup configuration, and
// Statistics for size in the section statseg. A shared address with a longest
// psid-len of k has 2^k rules, a whole one 2. Threads are VPP's workers and its
// main thread.
func Sizing(addresses, rules, threads int) (heap, statistics uint64) {
	domains := uint64(addresses + max(minSpares, min(addresses, maxSpares)))
	heap = otherHeap + spareHeap + domains*domainHeap + uint64(rules)*ruleHeap
	statistics = otherStatistics + spareStatistics + domains*domainStatistics*uint64(threads)
	return roundUp(heap), roundUp(statistics)
}

func roundUp(n uint64) uint64 { return (n + sizeStep - 1) / sizeStep * sizeStep }

// memory is the room that VPP has for what is ours. VPP aborts when it has none.
type memory struct {
	threads          int
	heap, statistics uint64 // for domains and rules of ours
}

// enough reports a VPP that has too little memory for what stands around its MAP
// plugin: for its counters, that is, since VPP takes more heap to start than we
// do. The error wraps ErrMemory.
func (d *Driver) enough(ctx context.Context) error {
	r, err := d.stats.Read(ctx)
	if err != nil {
		return err
	}
	if r.Statistics.Total >= otherStatistics {
		return nil
	}
	return tooSmall(plan.Held{}, max(len(r.Threads), 1))
}

func tooSmall(h plan.Held, threads int) error {
	heap, statistics := Sizing(h.Domains, h.Rules, threads)
	return fmt.Errorf("%w: for this and what it holds its startup configuration needs "+
		`"memory { main-heap-size %dM }" and "statseg { size %dM }" at least`, ErrMemory, heap>>20, statistics>>20)
}

// room reads how much there is. What VPP says of its use is some seconds old: it
// may lack what is ours, which the model knows, and our classifier tables.
func (s *session) room(ctx context.Context) error {
	r, err := s.driver.stats.Read(ctx)
	if err != nil {
		return err
	}
	s.memory = memory{threads: max(len(r.Threads), 1)}
	heap, statistics := s.memory.takes(s.model.Held())
	s.memory.heap = ofOurs(r.Heap, heap, otherHeap)
	s.memory.statistics = ofOurs(r.Statistics, statistics, otherStatistics)
	return nil
}

// ofOurs is what of m is for us, when we use some of it and others least at
// least. A sixteenth stays free for them.
func ofOurs(m stats.Memory, used, least uint64) uint64 {
	others := max(m.Used-min(m.Used, used), least)
	return m.Total - min(m.Total, others+m.Total/16)
}

func (m memory) takes(h plan.Held) (heap, statistics uint64) {
	return uint64(h.Domains)*domainHeap + uint64(h.Rules)*ruleHeap, uint64(h.Domains*m.threads) * domainStatistics
}

// check reports memory that is too small for what VPP is to hold. The error
// wraps ErrMemory.
func (m memory) check(h plan.Held) error {
	heap, statistics := m.takes(h)
	if heap <= m.heap && statistics <= m.statistics {
		return nil
	}
	return tooSmall(h, m.threads)
}

// admit refuses the addresses of a batch for which VPP has no memory.
func (s *session) admit(b *plan.Batch) {
	held := s.model.Held()
	spares := s.model.Spares()
	for _, g := range b.Growth() {
		then := plan.Held{Domains: held.Domains, Rules: held.Rules + max(g.Rules, 0)}
		if g.NewDomain && spares == 0 {
			then.Domains += s.moreSpares(1)
		}
		if err := s.memory.check(then); err != nil && then != held {
			b.Refuse(g.IPv4, err)
			continue
		}
		held.Rules += g.Rules
		if g.NewDomain {
			spares += then.Domains - held.Domains - 1
			held.Domains = then.Domains
		}
	}
}
