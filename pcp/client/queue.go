package client

import (
	"container/heap"
	"time"
)

// entry is a mapping of a set.
type entry struct {
	mapping Mapping
	due     time.Time
	at      int // in the queue, -1 if it is not
}

// queue is the entries that have something due, a heap by time.
type queue []*entry

// set makes e due at a time, or never if it is zero.
func (q *queue) set(e *entry, due time.Time) {
	e.due = due
	switch {
	case e.at >= 0 && due.IsZero():
		heap.Remove(q, e.at)
	case e.at >= 0:
		heap.Fix(q, e.at)
	case !due.IsZero():
		heap.Push(q, e)
	}
}

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push is for heap only.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.at = len(*q)
	*q = append(*q, e)
}

// Pop is for heap only.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	last.at = -1
	*q = (*q)[:len(*q)-1]
	return last
}
