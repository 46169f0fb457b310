package server

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// turns bounds how many messages are worked on at the same time, so that each is
// done soon, and how many wait and for how long. Who has been offered something, or
// has it, comes before who asks what there is: answering that makes more work.
type turns struct {
	patience time.Duration

	mu      sync.Mutex
	free    int
	room    int          // for more that wait
	waiting [2]list.List // of chan struct{}: those that come first, and the others
}

// Bounds of turns.
const (
	// working is how many messages are worked on at the same time: so many that one
	// write of the store serves many of them.
	working = 1024
	// turnPatience is how long a message waits at most. Its client sends it again a
	// second after it (RFC 8415 section 7.6, SOL_TIMEOUT and REQ_TIMEOUT), and what is
	// answered later than that is work for nothing.
	turnPatience = 300 * time.Millisecond
)

// MostAtOnce is how many messages are taken at the same time: to be worked on, to
// wait, and one to be turned away.
func (c Config) MostAtOnce() int { return working + c.MaxPending + 1 }

func newTurns(working, room int, patience time.Duration) *turns {
	return &turns{free: working, room: room, patience: patience}
}

// take waits for a turn. It reports false if there is none in time; otherwise the
// caller calls pass.
func (t *turns) take(ctx context.Context, first bool) bool {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return true
	}
	if t.room == 0 {
		t.mu.Unlock()
		return false
	}
	t.room--
	line := &t.waiting[1]
	if first {
		line = &t.waiting[0]
	}
	called := make(chan struct{})
	place := line.PushBack(called)
	t.mu.Unlock()
	timer := time.NewTimer(t.patience)
	defer timer.Stop()
	select {
	case <-called:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-called:
		return true
	default:
	}
	line.Remove(place)
	t.room++
	return false
}

// pass gives a turn to who waits for one.
func (t *turns) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.waiting {
		if place := t.waiting[i].Front(); place != nil {
			close(t.waiting[i].Remove(place).(chan struct{}))
			t.room++
			return
		}
	}
	t.free++
}
