package reconcile

import (
	"iter"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// pass streams many changes from a snapshot without an object for each: first
// removals, then the puts whose slot is in todo.
type pass struct {
	snapshot *softwire.Snapshot
	todo     bitset
	left     int            // slots in todo
	replaces bitset         // of todo: where the data plane holds something else
	removals []softwire.Key // not sent yet
	removing bool           // removals are under way

	next func() (softwire.Softwire, bool)
	stop func()
	done bool // next has no more

	readback bool // it follows a read back, so its end is the end of a full sync
	repaired int  // changes it sent
	started  time.Time
}

// newPass streams those softwires of snapshot that are in todo. stop must be
// called in the end.
func newPass(snapshot *softwire.Snapshot, todo, replaces bitset, now time.Time) *pass {
	p := &pass{snapshot: snapshot, todo: todo, left: todo.count(), replaces: replaces, started: now}
	p.next, p.stop = iter.Pull(snapshot.All())
	return p
}

// has reports whether the put of key is still to be done.
func (p *pass) has(key softwire.Key) bool {
	if p == nil {
		return false
	}
	slot, ok := p.snapshot.Slot(key)
	return ok && p.todo.has(slot)
}

// replacesAt reports whether the data plane held something else for key.
func (p *pass) replacesAt(key softwire.Key) bool {
	slot, ok := p.snapshot.Slot(key)
	return ok && p.replaces.has(slot)
}

// settle takes key out of todo: it is done, or an object by now.
func (p *pass) settle(key softwire.Key) {
	if p == nil {
		return
	}
	if slot, ok := p.snapshot.Slot(key); ok && p.todo.remove(slot) {
		p.left--
	}
}

// pending is how many changes are not done.
func (p *pass) pending() int {
	if p == nil {
		return 0
	}
	return p.left + len(p.removals)
}

// removalsPending reports whether puts must wait for removals.
func (p *pass) removalsPending() bool { return p != nil && (len(p.removals) > 0 || p.removing) }

// finished reports whether nothing is left to be sent.
func (p *pass) finished() bool { return p != nil && p.done && !p.removalsPending() }
