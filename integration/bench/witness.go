package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/forwarder"
)

// witness moves traffic with attacks in it through a line, once, and sees what
// becomes of it.
type witness struct {
	line       *line
	legitimate int // packets of one pass
	// For how long, on the line's clock: before anything is counted, and then.
	before, while time.Duration

	done    bool
	share   float64 // of the legitimate packets that came out
	perTime float64 // other packets per second: errors
	grown   float64 // MiB of heap
}

func (w *witness) delivered(ctx context.Context) (float64, error) {
	err := w.watch(ctx)
	return w.share, err
}

func (w *witness) answers(ctx context.Context) (float64, error) {
	err := w.watch(ctx)
	return w.perTime, err
}

func (w *witness) memory(ctx context.Context) (float64, error) {
	err := w.watch(ctx)
	return w.grown, err
}

// watch does it, if it was not done yet.
func (w *witness) watch(ctx context.Context) error {
	if w.done {
		return nil
	}
	empty := heap()
	if _, err := w.passes(ctx, w.before); err != nil {
		return err
	}
	var mine, others int
	w.line.see = func(o forwarder.Output) {
		if toHost(o) || fromHost(o) {
			mine++
		} else {
			others++
		}
	}
	began := w.line.now()
	passes, err := w.passes(ctx, w.while)
	if err != nil {
		return err
	}
	if others == 0 {
		return fmt.Errorf("%d passes of attacks and no answer: nothing was under attack", passes)
	}
	w.grown = max(0, heap()-empty) / (1 << 20)
	w.perTime = float64(others) / w.line.now().Sub(began).Seconds()
	w.share = float64(mine) / float64(passes*w.legitimate)
	w.done = true
	return nil
}

// passes moves the traffic through the line for a while, at least once if that
// is not zero, and returns how often.
func (w *witness) passes(ctx context.Context, while time.Duration) (n int, err error) {
	for began := w.line.now(); w.line.now().Sub(began) < while; n++ {
		if err := errors.Join(ctx.Err(), w.line.pass()); err != nil {
			return n, err
		}
	}
	return n, nil
}

// heap is what is in use of it, in octets.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// toHost reports whether a packet leaves to the legitimate host.
func toHost(o forwarder.Output) bool {
	return o.Side == dataplane.SideIPv4 && [4]byte(o.Packet[16:20]) == host.Addr().As4()
}

// fromHost reports whether a packet from the legitimate host leaves to a lwB4.
func fromHost(o forwarder.Output) bool {
	return o.Side == dataplane.SideIPv6 && o.Packet[6] == protoIPv4 &&
		[4]byte(o.Packet[ipv6Header+12:ipv6Header+16]) == host.Addr().As4()
}
