package delegation

import (
	"context"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
)

// Bounds of what Run does at once.
const (
	expiryBatch   = 1024 // delegations that end
	settleBatch   = 256  // softwires that are given back
	settleWorkers = 16
	// idle is how long Run sleeps at most.
	idle = time.Hour
	// logPause is the least time between two log entries about the same.
	logPause = time.Minute
)

// Run ends delegations that expire, and gives the softwires of those that have ended
// back, until ctx ends, and then returns nil. giveBack returns nil when whoever
// grants softwires has none for the prefix any more; it is called for one prefix at
// a time, for several at once. Run is called once, after Load.
func (k *Keeper) Run(ctx context.Context, giveBack func(ctx context.Context, d Delegation) error) error {
	var logged time.Time
	complain := func(err error, what string) {
		if err != nil && ctx.Err() == nil && time.Since(logged) >= logPause {
			logged = time.Now()
			k.log.WithError(err).Warn(what + "; will try again")
		}
	}
	var pause time.Time // until then whoever takes softwires back is left alone
	for ctx.Err() == nil {
		more, next, err := k.expire(ctx)
		complain(err, "delegations could not be ended")
		if err != nil {
			next = k.config.Retry
		}
		if !time.Now().Before(pause) {
			given, failed := k.settle(ctx, giveBack)
			complain(failed, "softwires could not be given back")
			if failed != nil {
				pause = time.Now().Add(k.config.Retry)
			}
			more = more || given == settleBatch
		}
		if left := time.Until(pause); left > 0 {
			next = min(next, left)
		} else if more && err == nil {
			continue
		}
		k.sleep(ctx, next)
	}
	return nil
}

// expire ends delegations that have expired. It says whether there may be more of
// them, and otherwise when the next one expires.
func (k *Keeper) expire(ctx context.Context) (more bool, next time.Duration, err error) {
	s := &Session{k: k, done: make(chan struct{})}
	skipped := false
	k.mu.Lock()
	k.book.journal = &s.journal
	now := k.clock.Now()
	ended := k.book.Expire(now, expiryBatch, func(client string) bool {
		_, busy := k.busy[client]
		skipped = skipped || busy
		return busy
	})
	k.book.journal = nil
	for _, d := range ended {
		k.busy[d.Client] = s.done
		s.others = append(s.others, d.Client)
	}
	next = idle
	if at, ok := k.book.Due(); ok {
		next = min(next, max(at.Sub(now), 0))
	}
	k.mu.Unlock()
	// Whoever keeps a client busy asks for it, and nudges.
	if skipped {
		next = max(next, time.Second)
	}
	if len(ended) == 0 {
		return false, next, nil
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(ctx, k.config.Timeout)
	defer cancel()
	return len(ended) == expiryBatch, next, s.Commit(ctx)
}

// settle gives softwires back.
func (k *Keeper) settle(ctx context.Context, giveBack func(ctx context.Context, d Delegation) error) (given int, err error) {
	var sessions []*Session
	var owed []Delegation
	k.mu.Lock()
	for r := range k.book.owing {
		if len(owed) == settleBatch {
			break
		}
		if _, busy := k.busy[r.client()]; !busy {
			sessions = append(sessions, k.begin(r.client()))
			owed = append(owed, r.delegation())
		}
	}
	k.mu.Unlock()
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	var group errgroup.Group
	group.SetLimit(settleWorkers)
	for i, d := range owed {
		group.Go(func() error {
			defer sessions[i].Close()
			// Its client may be back, and waits.
			try, cancel := context.WithTimeout(ctx, k.config.Patience)
			defer cancel()
			if err := giveBack(try, d); err != nil {
				if try.Err() != nil {
					giveUp() // whoever does not answer this does not answer the others
				}
				return err
			}
			sessions[i].settled(d.Prefix)
			return sessions[i].Commit(ctx)
		})
	}
	return len(owed), group.Wait()
}

// settled notes that nothing is owed for a prefix any more.
func (s *Session) settled(prefix netip.Prefix) {
	s.Disown(prefix)
	b := s.lock()
	defer s.unlock()
	b.forget(prefix)
}

// nudge makes Run look again.
func (k *Keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// sleep waits for d, a nudge or the end of ctx.
func (k *Keeper) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.wake:
	case <-ctx.Done():
	}
}
