package provision

import (
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// Notice says what has become of a lease.
type Notice struct {
	// Kind is Moved twice for a move: first with From, when the subscriber got
	// Lease in place of it, and then when From, now as Lease, has ended.
	Kind   history.Kind
	Lease  Lease // as it is after that
	From   Lease
	Reason string
	// Attributes are those that a lease had which has ended.
	Attributes lease.Attributes
}

// Watch is a subscription to notices.
type Watch struct {
	p       *Provisioner
	notices chan Notice
}

// Watch returns a subscription. One that is more than backlog notices behind is
// closed: its owner begins a new one, and looks at the leases that it knows.
func (p *Provisioner) Watch(backlog int) *Watch {
	w := &Watch{p, make(chan Notice, backlog)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watches[w] = struct{}{}
	return w
}

// Notices has what happens, in order. It is closed at the end.
func (w *Watch) Notices() <-chan Notice { return w.notices }

// Close ends the subscription. Closing again is no error.
func (w *Watch) Close() {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.end()
}

func (w *Watch) end() {
	if _, ok := w.p.watches[w]; ok {
		delete(w.p.watches, w)
		close(w.notices)
	}
}

// notify tells all who watch. The lock is held.
func (p *Provisioner) notify(n Notice) {
	for w := range p.watches {
		select {
		case w.notices <- n:
		default:
			w.end()
		}
	}
}
