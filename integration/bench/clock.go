package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// perSecond runs pass, which processes n packets, for a while and returns
// how many millions of packets a second of one core processes. The time is that
// which this thread was running, so that what else the machine does counts
// little.
func perSecond(ctx context.Context, n int, while time.Duration, pass func() error) (float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	packets := 0
	start, err := threadTime()
	if err != nil {
		return 0, err
	}
	for {
		if err := errors.Join(ctx.Err(), pass()); err != nil {
			return 0, err
		}
		packets += n
		now, err := threadTime()
		if err != nil {
			return 0, err
		}
		if spent := now - start; spent >= while {
			return float64(packets) / spent.Seconds() / 1e6, nil
		}
	}
}

// threadTime is how long the calling thread has been running.
func threadTime() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("clock of the thread: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// oneCore keeps everything, garbage collection included, on one core until the
// function it returns is called.
func oneCore() func() {
	runtime.GC()
	cores := runtime.GOMAXPROCS(1)
	percent := debug.SetGCPercent(-1)
	return func() {
		debug.SetGCPercent(percent)
		runtime.GOMAXPROCS(cores)
	}
}
