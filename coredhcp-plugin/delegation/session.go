package delegation

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Session is the right to change one client's delegations. What it changes counts
// when Commit has returned nil; Close takes the rest back. It is for one goroutine.
type Session struct {
	k       *Keeper
	client  string
	others  []string // clients that it is of besides
	done    chan struct{}
	journal journal
}

// Session begins a session of a client, when those before it have ended. The error
// is that of ctx.
func (k *Keeper) Session(ctx context.Context, client string) (*Session, error) {
	for {
		k.mu.Lock()
		done, busy := k.busy[client]
		if !busy {
			defer k.mu.Unlock()
			return k.begin(client), nil
		}
		k.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return nil, fmt.Errorf("another exchange of the client is under way: %w", ctx.Err())
		}
	}
}

// begin makes a client busy, which it is not. The lock is held.
func (k *Keeper) begin(client string) *Session {
	s := &Session{k: k, client: client, done: make(chan struct{})}
	k.busy[client] = s.done
	return s
}

// lock returns the book, to be changed until unlock.
func (s *Session) lock() *Book {
	s.k.mu.Lock()
	s.k.book.journal = &s.journal
	return s.k.book
}

func (s *Session) unlock() {
	s.k.book.journal = nil
	s.k.mu.Unlock()
}

// Held returns what the client holds as of this session, ordered by IAID.
func (s *Session) Held() []Delegation { return s.k.Held(s.client) }

// Grant gives the session's client a prefix, or extends the one that it has.
// Errors are those of Book.Grant, or it wraps ErrInvalid.
func (s *Session) Grant(q Query) (Delegation, error) {
	if err := s.fits(q.Holder); err != nil {
		return Delegation{}, err
	}
	b := s.lock()
	defer s.unlock()
	return b.Grant(q, s.k.clock.Now())
}

// Adopt notes, for lifetime, that somebody else delegates a prefix to the session's
// client, who decides that alone. The error wraps ErrInvalid.
func (s *Session) Adopt(prefix netip.Prefix, h Holder, lifetime time.Duration) (Delegation, error) {
	if err := s.fits(h); err != nil {
		return Delegation{}, err
	}
	b, now := s.lock(), s.k.clock.Now()
	defer s.unlock()
	d := b.known(prefix)
	if d.State != Bound || d.Holder != h {
		d.Start, d.Horizon = floor(now), time.Time{}
	}
	d.Holder, d.State, d.Until = h, Bound, time.Time{}
	d = d.extended(lifetime, now)
	b.Put(d)
	return d, nil
}

func (s *Session) fits(h Holder) error {
	if h.Client != s.client || h.Client == "" || max(len(h.Client), len(h.DUID), len(h.Line)) > maxText {
		return fmt.Errorf("%w: client %x", ErrInvalid, h.Client)
	}
	return nil
}

// Release ends the client's delegation of a prefix by an IAID, since it says so. The
// error wraps ErrUnknown if it has none.
func (s *Session) Release(iaid uint32, prefix netip.Prefix) error {
	return s.finish(iaid, prefix, (*Book).end)
}

// Withdraw is Release without the client's word: others get the prefix when it
// would have expired.
func (s *Session) Withdraw(iaid uint32, prefix netip.Prefix) error {
	return s.finish(iaid, prefix, (*Book).withdraw)
}

func (s *Session) finish(iaid uint32, prefix netip.Prefix, how func(*Book, Delegation, time.Time)) error {
	b := s.lock()
	defer s.unlock()
	d, ok := b.Get(prefix)
	if !ok || d.State != Bound || d.Client != s.client || d.IAID != iaid {
		return ErrUnknown
	}
	how(b, d, s.k.clock.Now())
	return nil
}

// Limit has the client's delegation of a prefix end no later than at, or when the
// client was told before.
func (s *Session) Limit(prefix netip.Prefix, at time.Time) {
	for _, c := range s.journal.changes {
		if c.after.Prefix == prefix && c.extends() {
			at = maxTime(at, c.before.Expires)
		}
	}
	s.change(prefix, func(d Delegation) Delegation {
		if d.Expires.After(at) {
			d.Expires = floor(at)
		}
		return d
	})
}

// Owe notes that a softwire is asked for, which has to be given back later whatever
// the answer is.
func (s *Session) Owe(prefix netip.Prefix) {
	s.change(prefix, func(d Delegation) Delegation { d.Owing = true; return d })
}

// Provision notes the softwire that goes with the client's prefix, until expires;
// zero is for ever. undo takes that back.
func (s *Session) Provision(prefix netip.Prefix, sw softwire.Softwire, expires time.Time) (undo func()) {
	var before provisioned
	s.change(prefix, func(d Delegation) Delegation {
		before = provisioned{d.Softwire, d.SoftwireExpires, d.Owing}
		d.Softwire, d.Owing, d.SoftwireExpires = sw, true, expires
		if !expires.IsZero() {
			d.SoftwireExpires = floor(expires)
		}
		return d
	})
	return func() {
		s.change(prefix, func(d Delegation) Delegation {
			d.Softwire, d.SoftwireExpires, d.Owing = before.softwire, before.expires, before.owing
			return d
		})
	}
}

// provisioned is what Provision changes.
type provisioned struct {
	softwire softwire.Softwire
	expires  time.Time
	owing    bool
}

// Disown notes that no softwire goes with the client's prefix.
func (s *Session) Disown(prefix netip.Prefix) {
	s.change(prefix, func(d Delegation) Delegation { d.Owing, d.SoftwireExpires = false, time.Time{}; return d })
}

// change changes what the client has, if it has that.
func (s *Session) change(prefix netip.Prefix, f func(Delegation) Delegation) {
	b := s.lock()
	defer s.unlock()
	before, ok := b.Get(prefix)
	if !ok || before.Client != s.client {
		return
	}
	if after := f(before); after != before {
		b.Put(after)
	}
}
