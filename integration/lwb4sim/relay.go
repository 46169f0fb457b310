package lwb4sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Impairment is what a relay does to packets: each number is the share of them,
// from 0 to 1, and is drawn anew for each.
type Impairment struct {
	Loss      float64
	Duplicate float64 // of those that are not lost
	// Late share of packets, and of the copies, comes up to Delay later than the
	// others, and so behind some that were sent after them.
	Late  float64
	Delay time.Duration
}

// Validate finds shares that are none.
func (i Impairment) Validate() error {
	for _, share := range []float64{i.Loss, i.Duplicate, i.Late} {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("%v is no share of the packets", share)
		}
	}
	if i.Delay < 0 {
		return fmt.Errorf("a delay of %s", i.Delay)
	}
	return nil
}

// Relay is packets on their way. It has no clock: Pass takes them, and Due gives
// them back when their time has come.
type Relay struct {
	impairment Impairment
	random     *rand.Rand
	flights    timeline[[]byte]
	counts     RelayCounts
}

// RelayCounts says what happened to packets.
type RelayCounts struct{ Passed, Lost, Duplicated, Late uint64 }

// NewRelay returns a relay whose deeds follow from the seed.
func NewRelay(impairment Impairment, seed uint64) *Relay {
	return &Relay{impairment: impairment, random: rand.New(rand.NewPCG(seed, 0x72656c6179))}
}

// Pass takes a packet, and keeps it.
func (r *Relay) Pass(now time.Time, packet []byte) {
	if r.random.Float64() < r.impairment.Loss {
		r.counts.Lost++
		return
	}
	r.fly(now, packet)
	if r.random.Float64() < r.impairment.Duplicate {
		r.counts.Duplicated++
		r.fly(now, packet)
	}
}

func (r *Relay) fly(now time.Time, packet []byte) {
	if r.random.Float64() < r.impairment.Late {
		r.counts.Late++
		now = now.Add(time.Duration(r.random.Float64() * float64(r.impairment.Delay)))
	}
	r.flights.add(now, packet)
}

// Next is when the next packet arrives. It is zero if none is on its way.
func (r *Relay) Next() time.Time { return r.flights.next() }

// Due returns a packet that has arrived by now, if there is one. A duplicate is
// the same slice.
func (r *Relay) Due(now time.Time) ([]byte, bool) {
	packet, _, ok := r.flights.take(now)
	if ok {
		r.counts.Passed++
	}
	return packet, ok
}

// Counts are those since the relay was made.
func (r *Relay) Counts() RelayCounts { return r.counts }
