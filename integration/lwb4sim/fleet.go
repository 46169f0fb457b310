package lwb4sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Fleet is lwB4s that each want one port set for as long as Run runs. It has them
// do what is due, and carries their packets. Its other methods may be called by any
// goroutine.
type Fleet struct {
	link    Link
	within  time.Duration // in which all lwB4s begin
	lwb4s   []member
	deliver func(packet []byte) bool // gives a packet to the lwB4 that it is for, if there is one

	mu       sync.Mutex    // guards what follows, and the lwB4s
	due      []time.Time   // of the one alarm of each lwB4 that counts; zero if there is none
	alarms   timeline[int] // some out of date: see due
	random   *rand.Rand
	up, down *Relay
	now      time.Time // of the work that is being done
	counts   Counts
	poked    chan struct{} // Run is to look at the clocks anew
}

// member is one lwB4 of a Fleet, whose mutex guards it.
type member interface {
	// wake does what is due: the first time, it begins.
	wake()
	// forget makes it as before it began.
	forget()
	// release gives back what it holds.
	release() error
	held() Holding
}

// Counts is what happened to a fleet since it was made.
type Counts struct {
	Requests uint64 // sent by lwB4s
	Answers  uint64 // that came to lwB4s, duplicates and all
	Ignored  uint64 // of those, what they did not wait for
	Strays   uint64 // packets for nobody
	Unsent   uint64 // packets that the link refused
	Up, Down RelayCounts
	Held     int    // lwB4s that hold a port set now
	Refused  int    // lwB4s whose last answer was an error
	Lost     uint64 // times that a lwB4 lost the port set it held
	Moved    uint64 // times that a lwB4 got another port set than it had
	Resets   uint64 // times that a lwB4 saw that the server lost its state
}

// emptyFleet is a fleet whose lwB4s are still to be put in.
func emptyFleet(link Link, impairment Impairment, seed uint64, count int, within time.Duration) *Fleet {
	return &Fleet{
		link:   link,
		within: within,
		lwb4s:  make([]member, count),
		due:    make([]time.Time, count),
		random: rand.New(rand.NewPCG(seed, 0x666c656574)),
		up:     NewRelay(impairment, seed),
		down:   NewRelay(impairment, ^seed),
		poked:  make(chan struct{}, 1),
	}
}

// Run has the lwB4s do their work until ctx ends, and then returns nil. It may be
// called once.
func (f *Fleet) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	arrivals := make(chan []byte, 256)
	group.Go(func() error { return receive(ctx, f.link, arrivals) })
	group.Go(func() error { f.work(ctx, arrivals); return nil })
	return group.Wait()
}

// maxPacket is the longest packet that comes to a lwB4.
const maxPacket = 1500

// receive hands on what comes from a link until ctx ends.
func receive(ctx context.Context, link Link, arrivals chan<- []byte) error {
	b := make([]byte, maxPacket)
	for {
		n, err := link.Receive(ctx, b)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("lwB4s: %w", err)
		}
		select {
		case arrivals <- append([]byte(nil), b[:n]...):
		case <-ctx.Done():
			return nil
		}
	}
}

func (f *Fleet) work(ctx context.Context, arrivals <-chan []byte) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	f.begin(time.Now())
	for {
		timer.Reset(time.Until(f.next()))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			f.step(time.Now(), nil)
		case packet := <-arrivals:
			f.step(time.Now(), packet)
		case <-f.poked:
		}
	}
}

// begin has each lwB4 begin at a time of its own.
func (f *Fleet) begin(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.due {
		f.alarm(i, now.Add(time.Duration(f.random.Float64()*float64(f.within))))
	}
}

// next is when there is something to do: an hour from now at the latest.
func (f *Fleet) next() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := time.Now().Add(time.Hour)
	for _, t := range []time.Time{f.alarms.next(), f.up.Next(), f.down.Next()} {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	return next
}

// step does what is due, and sends a packet that arrived on its way back.
func (f *Fleet) step(now time.Time, arrived []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = now
	if arrived != nil {
		f.down.Pass(now, arrived)
	}
	for packet, ok := f.down.Due(now); ok; packet, ok = f.down.Due(now) {
		if f.deliver(packet) {
			f.counts.Answers++
		} else {
			f.counts.Strays++
		}
	}
	for i, at, ok := f.alarms.take(now); ok; i, at, ok = f.alarms.take(now) {
		if at.Equal(f.due[i]) {
			f.due[i] = time.Time{}
			f.lwb4s[i].wake()
		}
	}
	for packet, ok := f.up.Due(now); ok; packet, ok = f.up.Due(now) {
		if err := f.link.Send(packet); err != nil {
			f.counts.Unsent++
		}
	}
}

// alarm has wake called for lwB4 i at a time, and at no other; never if it is
// zero.
func (f *Fleet) alarm(i int, at time.Time) {
	if f.due[i].Equal(at) {
		return
	}
	if f.due[i] = at; !at.IsZero() {
		f.alarms.add(at, i)
	}
}

// send puts a packet of a lwB4 on its way.
func (f *Fleet) send(packet []byte) {
	f.counts.Requests++
	f.up.Pass(f.now, packet)
}

// poke has Run look at the clocks that another goroutine changed.
func (f *Fleet) poke() {
	select {
	case f.poked <- struct{}{}:
	default:
	}
}

// Counts are those up to now.
func (f *Fleet) Counts() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.counts
	c.Up, c.Down = f.up.Counts(), f.down.Counts()
	return c
}

// Await waits until ready says so of the counts, or returns the context's error.
func (f *Fleet) Await(ctx context.Context, ready func(Counts) bool) error {
	const often = 10 * time.Millisecond
	ticker := time.NewTicker(often)
	defer ticker.Stop()
	for {
		c := f.Counts()
		if ready(c) {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("the fleet is at %+v: %w", c, ctx.Err())
		}
	}
}

// Restart has lwB4 i forget everything but what is part of its hardware, and begin
// again: a CPE whose power failed.
func (f *Fleet) Restart(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lwb4s[i].forget()
	f.alarm(i, time.Now())
	f.poke()
}

// Release has lwB4 i give back what it holds, and want nothing any more.
func (f *Fleet) Release(i int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = time.Now()
	err := f.lwb4s[i].release()
	f.poke()
	return err
}

// Holdings are those of all lwB4s, in order.
func (f *Fleet) Holdings() []Holding {
	f.mu.Lock()
	defer f.mu.Unlock()
	holdings := make([]Holding, len(f.lwb4s))
	for i, b := range f.lwb4s {
		holdings[i] = b.held()
	}
	return holdings
}
