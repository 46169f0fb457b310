package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

const (
	batchSize  = 64
	headroom   = 64 // what a worker may write to before a packet
	bufferSize = headroom + 2048
)

// line is a worker with traffic for it.
type line struct {
	worker *forwarder.Worker
	in     *traffic
	// now is the clock that the worker is given.
	now func() time.Time
	// while is how long one measurement of the rate takes.
	while time.Duration
	// packets is what one pass of the traffic counts as, fragments of one
	// packet being one.
	packets int
	// expect is how many packets one pass must put out. Where it is negative,
	// what comes out is left to see.
	expect int
	// see, if set, looks at each packet that comes out.
	see func(out forwarder.Output)

	bufs [batchSize][]byte
	next int
	sent int
}

// newLine returns a line whose every packet must come out.
func (s scale) newLine(f *forwarder.Forwarder, in *traffic) *line {
	l := &line{worker: f.NewWorker(), in: in, now: time.Now, while: s.rateTime, packets: in.count(), expect: in.count()}
	for i := range l.bufs {
		l.bufs[i] = make([]byte, bufferSize)
	}
	return l
}

// batch moves one batch through the worker, as an I/O would: the packets are
// copied into its buffers, which is part of what is measured.
func (l *line) batch() {
	n := min(batchSize, l.in.count()-l.next)
	var ends [batchSize]int
	l.worker.Begin(l.now())
	for i := range n {
		ends[i] = headroom + copy(l.bufs[i][headroom:], l.in.at(l.next+i))
		l.worker.Expect(l.in.sides[l.next+i], l.bufs[i][headroom:ends[i]])
	}
	for i := range n {
		l.worker.Packet(l.in.sides[l.next+i], l.bufs[i], headroom, ends[i])
	}
	out := l.worker.End()
	if l.see != nil {
		for _, o := range out {
			l.see(o)
		}
	}
	l.sent += len(out)
	l.next += n
}

// pass moves all of the traffic through the worker and checks what came out.
func (l *line) pass() error {
	l.next, l.sent = 0, 0
	for l.next < l.in.count() {
		l.batch()
	}
	if l.expect >= 0 && l.sent != l.expect {
		return fmt.Errorf("%d packets came out, want %d", l.sent, l.expect)
	}
	return nil
}

// rate measures millions of packets per second, on one core.
func (l *line) rate(ctx context.Context) (float64, error) {
	defer oneCore()()
	if err := l.pass(); err != nil { // fills the caches
		return 0, err
	}
	return perSecond(ctx, l.packets, l.while, l.pass)
}

// allocations measures how often memory is allocated per packet.
func (l *line) allocations(context.Context) (float64, error) {
	defer oneCore()()
	if err := l.pass(); err != nil { // everything has its size after that
		return 0, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := l.pass()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(l.packets), err
}
