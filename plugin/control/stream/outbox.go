package stream

import (
	"io"
	"runtime"
	"sync"
)

// outbox gathers messages, and writes all that there are at once.
type outbox struct {
	mu     sync.Mutex
	buf    []byte
	due    int // messages in buf
	owed   int // promised, and not written yet
	closed bool
	// filled is signalled when there is something to write, written when it was;
	// both when closed.
	filled, written sync.Cond
}

func newOutbox() *outbox {
	o := &outbox{}
	o.filled.L, o.written.L = &o.mu, &o.mu
	return o
}

// promise waits until less than limit messages are owed, and then owes one more. It
// returns false when the outbox is closed.
func (o *outbox) promise(limit int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.owed >= limit && !o.closed {
		o.written.Wait()
	}
	o.owed++
	return !o.closed
}

// put adds the message that add appends to a buffer.
func (o *outbox) put(add func([]byte) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = add(o.buf)
	o.due++
	if o.due == 1 {
		o.filled.Signal()
	}
}

// close ends run and promise.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.filled.Broadcast()
	o.written.Broadcast()
}

// run writes what is put until it is closed, and then returns nil, or until it
// fails.
func (o *outbox) run(w io.Writer) error {
	var spare []byte
	for {
		b, n := o.take(spare)
		if n == 0 {
			return nil
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		spare = b[:0]
		o.mu.Lock()
		o.owed -= n
		o.written.Signal()
		o.mu.Unlock()
	}
}

// take waits for messages, and returns all that there are and how many. spare is what
// the next ones are put into.
func (o *outbox) take(spare []byte) ([]byte, int) {
	o.mu.Lock()
	for o.due == 0 && !o.closed {
		o.filled.Wait()
	}
	o.mu.Unlock()
	// Whoever is about to put something goes first.
	runtime.Gosched()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, 0
	}
	b, n := o.buf, o.due
	o.buf, o.due = spare, 0
	return b, n
}
