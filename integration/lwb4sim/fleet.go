package lwb4sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/datagram"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
)

// FleetConfig says how a fleet behaves.
type FleetConfig struct {
	Population Population
	Impairment Impairment // of the way to the server, and of the way back
	// Timing is client.DefaultTiming if it is the zero value.
	Timing client.Timing
	// Begin is the time within which all lwB4s begin, each at random.
	Begin time.Duration
}

// Fleet is lwB4s that each want one port set for as long as Run runs. Its other
// methods may be called by any goroutine.
type Fleet struct {
	config   FleetConfig
	link     Link
	mu       sync.Mutex // guards what follows, and what it leads to
	lwb4s    []lwb4
	alarms   timeline[*lwb4] // some out of date: see lwb4.due
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

// NewFleet returns a fleet on a link, which the caller closes. The error says
// what in config makes no sense.
func NewFleet(link Link, config FleetConfig) (*Fleet, error) {
	if config.Timing == (client.Timing{}) {
		config.Timing = client.DefaultTiming()
	}
	if err := config.Population.Validate(); err != nil {
		return nil, err
	}
	if err := config.Impairment.Validate(); err != nil {
		return nil, err
	}
	if err := config.Timing.Validate(); err != nil {
		return nil, err
	}
	seed := config.Population.Seed
	f := &Fleet{
		config: config,
		link:   link,
		lwb4s:  make([]lwb4, config.Population.Count),
		random: rand.New(rand.NewPCG(seed, 0x666c656574)),
		up:     NewRelay(config.Impairment, seed),
		down:   NewRelay(config.Impairment, ^seed),
		poked:  make(chan struct{}, 1),
	}
	for i := range f.lwb4s {
		f.lwb4s[i] = lwb4{fleet: f, index: i}
	}
	return f, nil
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

// maxPacket is the longest packet that has a PCP message in it.
const maxPacket = datagram.Overhead + pcpmsg.MaxLength

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
	for i := range f.lwb4s {
		f.lwb4s[i].alarm(now.Add(time.Duration(f.random.Float64() * float64(f.config.Begin))))
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
		f.deliver(packet)
	}
	for b, at, ok := f.alarms.take(now); ok; b, at, ok = f.alarms.take(now) {
		if at.Equal(b.due) {
			b.wake()
		}
	}
	for packet, ok := f.up.Due(now); ok; packet, ok = f.up.Due(now) {
		if err := f.link.Send(packet); err != nil {
			f.counts.Unsent++
		}
	}
}

func (f *Fleet) deliver(packet []byte) {
	i, d, ok := f.config.Population.receive(packet)
	if !ok {
		f.counts.Strays++
		return
	}
	f.counts.Answers++
	f.lwb4s[i].receive(d)
}

// Restart has lwB4 i forget everything, its nonce too, and begin again: a CPE
// whose power failed.
func (f *Fleet) Restart(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lwb4s[i].restart()
	f.lwb4s[i].alarm(time.Now())
	f.poke()
}

// Release has lwB4 i delete its port set, and want none any more.
func (f *Fleet) Release(i int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = time.Now()
	err := f.lwb4s[i].release()
	f.poke()
	return err
}

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
