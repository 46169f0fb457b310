package lwb4sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// engine has simulated lwB4s do what is due, and carries their packets. What
// they are is for the fleet that it is part of: wake is called when lwB4 i's
// alarm has come, deliver with packets from the link, both with mu locked.
type engine struct {
	link    Link
	within  time.Duration // in which all lwB4s begin
	wake    func(i int)
	deliver func(packet []byte)

	mu       sync.Mutex    // guards what follows, and the lwB4s
	due      []time.Time   // of the one alarm of each lwB4 that counts; zero if there is none
	alarms   timeline[int] // some out of date: see due
	random   *rand.Rand
	up, down *Relay
	now      time.Time // of the work that is being done
	counts   Counts
	poked    chan struct{} // Run is to look at the clocks anew
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

func newEngine(link Link, impairment Impairment, seed uint64, count int, within time.Duration) *engine {
	return &engine{
		link:   link,
		within: within,
		due:    make([]time.Time, count),
		random: rand.New(rand.NewPCG(seed, 0x666c656574)),
		up:     NewRelay(impairment, seed),
		down:   NewRelay(impairment, ^seed),
		poked:  make(chan struct{}, 1),
	}
}

// Run has the lwB4s do their work until ctx ends, and then returns nil. It may be
// called once.
func (e *engine) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	arrivals := make(chan []byte, 256)
	group.Go(func() error { return receive(ctx, e.link, arrivals) })
	group.Go(func() error { e.work(ctx, arrivals); return nil })
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

func (e *engine) work(ctx context.Context, arrivals <-chan []byte) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	e.begin(time.Now())
	for {
		timer.Reset(time.Until(e.next()))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			e.step(time.Now(), nil)
		case packet := <-arrivals:
			e.step(time.Now(), packet)
		case <-e.poked:
		}
	}
}

// begin has each lwB4 begin at a time of its own.
func (e *engine) begin(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.due {
		e.alarm(i, now.Add(time.Duration(e.random.Float64()*float64(e.within))))
	}
}

// next is when there is something to do: an hour from now at the latest.
func (e *engine) next() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := time.Now().Add(time.Hour)
	for _, t := range []time.Time{e.alarms.next(), e.up.Next(), e.down.Next()} {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	return next
}

// step does what is due, and sends a packet that arrived on its way back.
func (e *engine) step(now time.Time, arrived []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = now
	if arrived != nil {
		e.down.Pass(now, arrived)
	}
	for packet, ok := e.down.Due(now); ok; packet, ok = e.down.Due(now) {
		e.deliver(packet)
	}
	for i, at, ok := e.alarms.take(now); ok; i, at, ok = e.alarms.take(now) {
		if at.Equal(e.due[i]) {
			e.due[i] = time.Time{}
			e.wake(i)
		}
	}
	for packet, ok := e.up.Due(now); ok; packet, ok = e.up.Due(now) {
		if err := e.link.Send(packet); err != nil {
			e.counts.Unsent++
		}
	}
}

// alarm has wake called for lwB4 i at a time, and at no other; never if it is
// zero.
func (e *engine) alarm(i int, at time.Time) {
	if e.due[i].Equal(at) {
		return
	}
	if e.due[i] = at; !at.IsZero() {
		e.alarms.add(at, i)
	}
}

// send puts a packet of a lwB4 on its way.
func (e *engine) send(packet []byte) {
	e.counts.Requests++
	e.up.Pass(e.now, packet)
}

// poke has Run look at the clocks that another goroutine changed.
func (e *engine) poke() {
	select {
	case e.poked <- struct{}{}:
	default:
	}
}

// Counts are those up to now.
func (e *engine) Counts() Counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.counts
	c.Up, c.Down = e.up.Counts(), e.down.Counts()
	return c
}

// Await waits until ready says so of the counts, or returns the context's error.
func (e *engine) Await(ctx context.Context, ready func(Counts) bool) error {
	const often = 10 * time.Millisecond
	ticker := time.NewTicker(often)
	defer ticker.Stop()
	for {
		c := e.Counts()
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
