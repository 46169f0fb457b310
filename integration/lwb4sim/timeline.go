package lwb4sim

import (
	"container/heap"
	"time"
)

// timeline is values that each have a time, handed out in that order, and of the
// same time in the order they came.
type timeline[T any] struct {
	moments  moments[T]
	sequence uint64
}

func (t *timeline[T]) add(at time.Time, value T) {
	t.sequence++
	heap.Push(&t.moments, moment[T]{at, t.sequence, value})
}

// next is the earliest time. It is zero if there is no value.
func (t *timeline[T]) next() time.Time {
	if len(t.moments) == 0 {
		return time.Time{}
	}
	return t.moments[0].at
}

// take takes the earliest value off if its time, at, has come.
func (t *timeline[T]) take(now time.Time) (value T, at time.Time, ok bool) {
	if len(t.moments) == 0 || t.moments[0].at.After(now) {
		return value, at, false
	}
	m := heap.Pop(&t.moments).(moment[T])
	return m.value, m.at, true
}

type moment[T any] struct {
	at       time.Time
	sequence uint64
	value    T
}

type moments[T any] []moment[T]

func (m moments[T]) Len() int { return len(m) }
func (m moments[T]) Less(i, j int) bool {
	if !m[i].at.Equal(m[j].at) {
		return m[i].at.Before(m[j].at)
	}
	return m[i].sequence < m[j].sequence
}
func (m moments[T]) Swap(i, j int) { m[i], m[j] = m[j], m[i] }

// Push is for heap only.
func (m *moments[T]) Push(x any) { *m = append(*m, x.(moment[T])) }

// Pop is for heap only.
func (m *moments[T]) Pop() any {
	last := (*m)[len(*m)-1]
	(*m)[len(*m)-1] = moment[T]{}
	*m = (*m)[:len(*m)-1]
	return last
}
