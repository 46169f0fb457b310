package reconcile

import (
	"container/heap"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// backlog is the objects, at most one for a key, and the order in which they
// are to be sent.
type backlog struct {
	byKey     map[softwire.Key]*object
	byAddress map[netip.Addr]*crowd
	removals  queue
	puts      queue
	timers    timers
	ages      ages // of those that are not refused
	refused   int
}

// crowd is the objects of one IPv4 address. Ops on different addresses do not
// meet.
type crowd struct {
	objects []*object
	// removals counts those that are removals, by their parameters.
	removals map[portset.Params]int
}

func newBacklog() *backlog {
	return &backlog{byKey: make(map[softwire.Key]*object), byAddress: make(map[netip.Addr]*crowd)}
}

// add makes op the wish for its key, in place of any earlier one, and queues it.
func (b *backlog) add(op dataplane.Op, since time.Time) *object {
	b.drop(b.byKey[op.Softwire.Key()])
	o := &object{op: op, since: since, timer: -1}
	b.byKey[o.key()] = o
	b.ages.add(o)
	c := b.byAddress[op.Softwire.IPv4]
	if c == nil {
		c = &crowd{}
		b.byAddress[op.Softwire.IPv4] = c
	}
	c.add(o)
	b.queue(o)
	return o
}

// drop forgets o, which may be nil.
func (b *backlog) drop(o *object) {
	if o == nil {
		return
	}
	b.leave(o)
	o.phase = dropped
	b.ages.remove(o)
	delete(b.byKey, o.key())
	c := b.byAddress[o.op.Softwire.IPv4]
	c.remove(o)
	if len(c.objects) == 0 {
		delete(b.byAddress, o.op.Softwire.IPv4)
	}
}

// leave takes o out of the phase that it is in, to enter another.
func (b *backlog) leave(o *object) {
	switch o.phase {
	case paused:
		heap.Remove(&b.timers, o.timer)
	case refused:
		b.refused--
		b.ages.add(o)
	}
}

// queue lets o be sent at the next opportunity.
func (b *backlog) queue(o *object) {
	b.leave(o)
	o.phase = queued
	if o.removal() {
		b.removals.push(o)
	} else {
		b.puts.push(o)
	}
}

// pause lets o be sent again when due.
func (b *backlog) pause(o *object, due time.Time) {
	b.leave(o)
	o.phase, o.due = paused, due
	heap.Push(&b.timers, o)
}

// refuse keeps o until something changes.
func (b *backlog) refuse(o *object) {
	b.leave(o)
	o.phase = refused
	b.ages.remove(o)
	b.refused++
}

// block keeps o, a put, until unblock of its address.
func (b *backlog) block(o *object) {
	b.leave(o)
	o.phase = blocked
}

// release queues what is due.
func (b *backlog) release(now time.Time) {
	for len(b.timers) > 0 && !b.timers[0].due.After(now) {
		b.queue(b.timers[0])
	}
}

// unblock queues the puts of an address, one of whose removals is done: those
// that waited for it and those that the data plane may have put off for it.
func (b *backlog) unblock(ip netip.Addr) {
	b.requeue(ip, func(o *object) bool { return !o.removal() && (o.phase == blocked || o.phase == paused) })
}

// reopen queues what was refused on an address that has changed.
func (b *backlog) reopen(ip netip.Addr) {
	b.requeue(ip, func(o *object) bool { return o.phase == refused })
}

func (b *backlog) requeue(ip netip.Addr, which func(*object) bool) {
	if c := b.byAddress[ip]; c != nil {
		for _, o := range c.objects {
			if which(o) {
				b.again(o)
			}
		}
	}
}

// restart queues everything at once: the data plane is another one.
func (b *backlog) restart() {
	for _, o := range b.byKey {
		if o.phase != queued {
			b.again(o)
		}
		o.clearing, o.attempts, o.reason = false, 0, nil
	}
}

// again queues o, and asks anew for what was refused.
func (b *backlog) again(o *object) {
	if o.phase == refused {
		o.clearing, o.attempts = false, 0
	}
	b.queue(o)
}

// conflicts reports whether a put of key must wait for a removal.
func (b *backlog) conflicts(key softwire.Key) bool {
	c := b.byAddress[key.IPv4]
	return c != nil && c.conflicts(key)
}

func (c *crowd) add(o *object) {
	o.seat = len(c.objects)
	c.objects = append(c.objects, o)
	if o.removal() {
		if c.removals == nil {
			c.removals = make(map[portset.Params]int)
		}
		c.removals[o.op.Softwire.PortSet.Params()]++
	}
}

func (c *crowd) remove(o *object) {
	last := c.objects[len(c.objects)-1]
	c.objects[o.seat], last.seat = last, o.seat
	c.objects[len(c.objects)-1] = nil
	c.objects = c.objects[:len(c.objects)-1]
	if o.removal() {
		params := o.op.Softwire.PortSet.Params()
		if c.removals[params]--; c.removals[params] == 0 {
			delete(c.removals, params)
		}
	}
}

// fewRemovals is how many removals of one address are compared one by one.
const fewRemovals = 256

// conflicts reports whether a removal is pending on ports of key. Port sets of
// equal parameters do not overlap; with very many removals of other ones the
// answer is yes without a look.
func (c *crowd) conflicts(key softwire.Key) bool {
	other := 0
	for params, n := range c.removals {
		if params != key.PortSet.Params() {
			other += n
		}
	}
	if other == 0 || other > fewRemovals {
		return other > 0
	}
	for _, o := range c.objects {
		if o.removal() && o.key() != key && o.op.Softwire.PortSet.Overlaps(key.PortSet) {
			return true
		}
	}
	return false
}
