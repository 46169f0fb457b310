package vppdrv

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv/plan"
)

// Size is how much memory VPP needs, in octets.
type Size struct {
	Heap       uint64 // memory { main-heap-size }
	Statistics uint64 // statseg { size }
}

// What VPP 26.06 takes, with some room for what it needs twice while it makes
// room for more. Measured: 40 MiB of the heap for VPP itself without DPDK, and
// for each address 494 to 885 octets besides its rules, of which VPP has an
// array as long as all PSIDs; of the statistics 1 MiB, and 42 octets for each
// thread and address.
const (
	heapOfVPP     = 64 << 20
	heapOfAddress = 1 << 10
	heapOfRule    = 16

	statisticsOfVPP     = 16 << 20
	statisticsOfAddress = 96 // for each thread
)

// Sizing is what a VPP needs for softwires on a number of IPv4 addresses. Rules
// are 2^psid-len for each address, whether or not there are as many softwires.
// Threads are the main one and the workers.
func Sizing(addresses, rules, threads int) Size {
	a, r, t := uint64(addresses), uint64(rules), uint64(threads)
	return Size{
		Heap:       heapOfVPP + heapOfAddress*a + heapOfRule*r,
		Statistics: statisticsOfVPP + statisticsOfAddress*a*t,
	}
}

// ErrMemory reports softwires for which VPP has too little memory: it would end
// itself.
var ErrMemory = errors.New("VPP has too little memory")

// capacity is what a VPP has.
type capacity struct {
	have    Size
	threads int
}

// measure asks VPP how much memory it has. Soon after its start VPP does not know
// that yet: then there is no limit so far.
func (s *session) measure(ctx context.Context) error {
	reading, err := s.driver.stats.Read(ctx)
	if err == nil {
		s.capacity = capacity{Size{reading.Heap.Total, reading.Statistics.Total}, len(reading.Threads)}
	}
	return err
}

// fits returns an error that wraps ErrMemory if VPP has no room for as much.
func (c capacity) fits(addresses, rules int) error {
	need := Sizing(addresses, rules, c.threads)
	for _, m := range []struct {
		have, need uint64
		set        string
	}{
		{c.have.Heap, need.Heap, "memory { main-heap-size %s }"},
		{c.have.Statistics, need.Statistics, "statseg { size %s }"},
	} {
		// VPP keeps some of what it was given for itself.
		if m.have > 0 && m.need > m.have+m.have/64 {
			return fmt.Errorf("%w for %d addresses with %d port sets: put at least \"%s\" into its startup configuration",
				ErrMemory, addresses, rules, fmt.Sprintf(m.set, mebibytes(m.need)))
		}
	}
	return nil
}

// mebibytes is n rounded up to a power of two, as VPP's configuration has it.
func mebibytes(n uint64) string {
	const mebi = 1 << 20
	return fmt.Sprintf("%dM", uint64(1)<<bits.Len64((n-1)/mebi))
}

// withinMemory returns those of possible, which are places in ops, for which VPP
// has room, and puts why not into the results of the others.
func (s *session) withinMemory(ctx context.Context, ops []dataplane.Op, possible []int, results []dataplane.Result) ([]int, error) {
	if s.capacity.have == (Size{}) {
		if err := s.measure(ctx); err != nil {
			return nil, err
		}
	}
	addresses, rules := -1, 0             // counted when it matters
	longest := make(map[netip.Addr]uint8) // psid-len of addresses that ops make larger
	return slices.DeleteFunc(possible, func(i int) bool {
		ip, length := ops[i].Softwire.IPv4, ops[i].Softwire.PortSet.Params().Length()
		if ops[i].Kind == dataplane.Remove {
			return false
		}
		before, has := longest[ip]
		if !has {
			before, has = s.model.Length(ip)
		}
		if has && length <= before {
			return false
		}
		if addresses < 0 {
			addresses, rules = s.model.Size()
		}
		more, moreRules := 1, plan.Rules(length)
		if has {
			more, moreRules = 0, moreRules-plan.Rules(before)
		}
		if err := s.capacity.fits(addresses+more, rules+moreRules); err != nil {
			results[i] = dataplane.Result{Outcome: dataplane.Retryable, Err: err}
			return true
		}
		addresses, rules, longest[ip] = addresses+more, rules+moreRules, length
		return false
	}), nil
}
