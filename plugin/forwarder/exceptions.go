package forwarder

import (
	"context"
	"sync"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
)

// maxException is the most octets of an exception packet: a PCP message is at
// most 1,100 (RFC 6887 section 7), and the rest is headers.
const maxException = 1500

// exceptionQueue holds exception packets until the control logic takes them. It
// is bounded and a Worker never waits for it.
type exceptionQueue struct {
	mu    sync.Mutex
	ring  []dataplane.Exception // the memory of packets is used again
	first int
	count int
	// waiting has a token while count > 0 may hold.
	waiting chan struct{}
}

func newExceptionQueue(size int) *exceptionQueue {
	return &exceptionQueue{ring: make([]dataplane.Exception, size), waiting: make(chan struct{}, 1)}
}

// offer copies an exception into the queue, or reports that it does not fit.
func (q *exceptionQueue) offer(side dataplane.Side, reason dataplane.Reason, b []byte) bool {
	if len(b) > maxException {
		return false
	}
	q.mu.Lock()
	if q.count == len(q.ring) {
		q.mu.Unlock()
		return false
	}
	slot := &q.ring[(q.first+q.count)%len(q.ring)]
	slot.Side, slot.Reason = side, reason
	slot.Packet = append(slot.Packet[:0], b...)
	q.count++
	q.mu.Unlock()
	select {
	case q.waiting <- struct{}{}:
	default:
	}
	return true
}

// take moves waiting exceptions to into, waiting for the first.
func (q *exceptionQueue) take(ctx context.Context, into []dataplane.Exception) (int, error) {
	if len(into) == 0 {
		return 0, ctx.Err()
	}
	for {
		if n := q.takeNow(into); n > 0 {
			return n, nil
		}
		select {
		case <-q.waiting:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (q *exceptionQueue) takeNow(into []dataplane.Exception) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(q.count, len(into))
	for i := range n {
		slot := q.ring[q.first]
		// The copy is the caller's to keep; the ring's memory is not.
		into[i] = dataplane.Exception{Side: slot.Side, Reason: slot.Reason, Packet: append([]byte(nil), slot.Packet...)}
		q.first = (q.first + 1) % len(q.ring)
		q.count--
	}
	if q.count > 0 {
		// Another caller may wait for what is left.
		select {
		case q.waiting <- struct{}{}:
		default:
		}
	}
	return n
}
