package delegation

import (
	"container/heap"
	"time"
)

// queue orders records by a time. A record is in one queue at most and knows its
// place there.
type queue struct{ items []item }

type item struct {
	when instant
	r    *record
}

func (q *queue) Len() int           { return len(q.items) }
func (q *queue) Less(i, j int) bool { return q.items[i].when < q.items[j].when }

func (q *queue) Swap(i, j int) {
	q.items[i], q.items[j] = q.items[j], q.items[i]
	q.items[i].r.place, q.items[j].r.place = i, j
}

// Push and Pop are for container/heap.
func (q *queue) Push(x any) {
	it := x.(item)
	it.r.place = len(q.items)
	q.items = append(q.items, it)
}

func (q *queue) Pop() any {
	last := q.items[len(q.items)-1]
	q.items[len(q.items)-1] = item{}
	q.items = q.items[:len(q.items)-1]
	return last
}

func (q *queue) add(r *record, when instant) {
	heap.Push(q, item{when, r})
	r.queue = q
}

// remove takes r out of the queue that it is in, if it is in one.
func (r *record) remove() {
	if r.queue != nil {
		heap.Remove(r.queue, r.place)
		r.queue = nil
	}
}

// first is the record with the earliest time.
func (q *queue) first() (*record, time.Time, bool) {
	if len(q.items) == 0 {
		return nil, time.Time{}, false
	}
	return q.items[0].r, q.items[0].when.time(), true
}
