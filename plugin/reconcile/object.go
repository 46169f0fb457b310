package reconcile

import (
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// phase is where an object stands between the wish and the fact.
type phase uint8

const (
	queued  phase = iota // to be sent as soon as possible
	sent                 // in the batch that is under way
	paused               // to be sent again when due
	blocked              // a put that waits for a removal on its address
	refused              // unsupported; waits for a change
	dropped              // no longer an object of the backlog
)

// object is one change that the data plane has not made.
type object struct {
	op    dataplane.Op // what is wished for
	phase phase
	// replaces: op is a put, and the data plane may hold something else for its
	// key. clearing: the put was refused, so that is to be removed.
	replaces, clearing bool

	attempts int       // answered with Retryable so far
	since    time.Time // when it was wished for
	due      time.Time // while paused
	reason   error     // the latest answer

	timer      int // index in backlog.timers, -1 outside
	seat       int // index in crowd.objects
	prev, next *object
}

func (o *object) key() softwire.Key { return o.op.Softwire.Key() }

// toSend is the op to be sent.
func (o *object) toSend() dataplane.Op {
	if o.clearing {
		return removeOp(o.key())
	}
	return o.op
}

// removal reports whether o waits for ports to become free. Clearing does not:
// nobody else is to have them.
func (o *object) removal() bool { return o.op.Kind == dataplane.Remove }

// timers is a heap of paused objects, the first due at the top.
type timers []*object

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].due.Before(t[j].due) }

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].timer, t[j].timer = i, j
}

// Push is for container/heap.
func (t *timers) Push(x any) {
	o := x.(*object)
	o.timer = len(*t)
	*t = append(*t, o)
}

// Pop is for container/heap.
func (t *timers) Pop() any {
	last := len(*t) - 1
	o := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	o.timer = -1
	return o
}

// queue is a first-in first-out list of objects. One that left the phase queued
// stays in it until its turn and is skipped then.
type queue struct {
	objects []*object
	head    int
}

func (q *queue) push(o *object) { q.objects = append(q.objects, o) }

// pop returns the first object that is still queued, nil if there is none.
func (q *queue) pop() *object {
	for q.head < len(q.objects) {
		o := q.objects[q.head]
		q.objects[q.head] = nil
		q.head++
		if o.phase == queued {
			return o
		}
	}
	q.objects, q.head = q.objects[:0], 0
	return nil
}

// ages is a list of objects in the order of since, for the oldest.
type ages struct{ first, last *object }

func (a *ages) add(o *object) {
	if a.first != nil && o.since.Before(a.first.since) {
		o.next, a.first.prev, a.first = a.first, o, o
		return
	}
	o.prev = a.last
	if a.last == nil {
		a.first = o
	} else {
		a.last.next = o
	}
	a.last = o
}

func (a *ages) remove(o *object) {
	if o.prev == nil {
		a.first = o.next
	} else {
		o.prev.next = o.next
	}
	if o.next == nil {
		a.last = o.prev
	} else {
		o.next.prev = o.prev
	}
	o.prev, o.next = nil, nil
}
