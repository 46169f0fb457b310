package delegation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// promise is what a client was told.
type promise struct {
	client string
	iaid   uint32
	until  time.Time
}

// witness knows what clients were told, and nothing else.
type witness struct {
	t      *testing.T
	told   map[netip.Prefix]promise
	closed map[netip.Prefix]promise // ended, with until when nobody else may have it
}

// tell is that a client was told of a delegation.
func (w *witness) tell(d Delegation, now time.Time) {
	w.t.Helper()
	w.expire(now)
	if p, ok := w.told[d.Prefix]; ok && p.client != d.Client {
		w.t.Errorf("%s was given to %s while %s has it until %s; it is %s", d.Prefix, d.Client, p.client, p.until, now)
	}
	if p, ok := w.closed[d.Prefix]; ok && p.client != d.Client && now.Before(p.until) {
		w.t.Errorf("%s was given to %s before the hold-down of %s, %s; it is %s", d.Prefix, d.Client, p.client, p.until, now)
	}
	w.told[d.Prefix] = promise{d.Client, d.IAID, d.Expires}
	delete(w.closed, d.Prefix)
}

// end is that a client knows that it has no prefix any more.
func (w *witness) end(prefix netip.Prefix, now time.Time) {
	p := w.told[prefix]
	p.until = now.Add(holdDown)
	w.closed[prefix] = p
	delete(w.told, prefix)
}

func (w *witness) expire(now time.Time) {
	for prefix, p := range w.told {
		if !p.until.After(now) {
			w.end(prefix, p.until)
		}
	}
}

// keeps checks that everybody still has what they were told.
func (w *witness) keeps(k *Keeper, now time.Time) {
	w.t.Helper()
	w.expire(now)
	for prefix, p := range w.told {
		d, ok := k.Get(prefix)
		kept := d.State == Bound && !d.Expires.Before(p.until) || d.State == Resting && !d.Until.Before(p.until)
		if !ok || !kept || d.Client != p.client {
			w.t.Errorf("%s was told to %s until %s, and there is %+v; it is %s", prefix, p.client, p.until, d, now)
		}
	}
}

const holdDown = 5 * time.Minute

// TestPromises: whatever happens to the store and the process, no prefix has two
// owners, none changes hands within its hold-down, and nothing that a client was
// told is forgotten.
func TestPromises(t *testing.T) {
	for run := range 60 {
		seed := uint64(time.Now().UnixNano()) + uint64(run)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { keepPromises(t, rand.New(rand.NewPCG(seed, 1))) })
		})
		if t.Failed() {
			return
		}
	}
}

func keepPromises(t *testing.T, random *rand.Rand) {
	pools := []Pool{small("a", "2001:db8:a::/53", 56), small("b", "2001:db8:b::/54", 56)}
	pools[0].Quota = 2
	w := &witness{t, make(map[netip.Prefix]promise), make(map[netip.Prefix]promise)}
	r := newRig(t, pools...)
	faults := func() {
		random := rand.New(rand.NewPCG(random.Uint64(), 1))
		r.store.fail(func() fate {
			if random.IntN(8) > 0 {
				return done
			}
			return []fate{refused, lost, doubted}[random.IntN(3)]
		})
	}
	faults()
	for range 300 {
		q := Query{Holder: Holder{Client: fmt.Sprint("c", random.IntN(12)), IAID: uint32(random.IntN(3))}, Pools: []string{"a", "b"}[random.IntN(2):]}
		if random.IntN(3) == 0 {
			q.Want = pools[0].at(uint32(random.IntN(8)))
		}
		switch random.IntN(10) {
		case 0:
			w.keeps(r.Keeper, time.Now())
			r = r.restart(pools...)
			faults()
			w.keeps(r.Keeper, time.Now())
		case 1:
			time.Sleep(time.Duration(random.IntN(int(40 * time.Minute))))
		case 2:
			time.Sleep(time.Duration(random.IntN(int(2 * time.Minute))))
		case 3, 4:
			w.expire(time.Now())
			for prefix, p := range w.told {
				// Whatever is answered, the client has stopped using it.
				_ = r.release(Delegation{Prefix: prefix, Holder: Holder{Client: p.client, IAID: p.iaid}})
				w.end(prefix, time.Now())
				break
			}
		case 5:
			_, _ = r.Offer(q)
		default:
			one(t, r, w, q, random.IntN(2) == 0)
		}
	}
	w.keeps(r.Keeper, time.Now())
	if s := r.Stats(); len(w.told) > s.Pools[0].Bound+s.Pools[1].Bound {
		t.Errorf("%d prefixes are promised, %+v", len(w.told), s)
	}
}

// alongside has what a session has changed become durable together with a softwire,
// as somebody does who grants that in the same store.
func alongside(t *testing.T, r *rig, s *Session, d Delegation) {
	undo := s.Provision(d.Prefix, testSoftwire(), time.Time{})
	values, done := s.Pending()
	err := r.store.Commit(t.Context(), store.Batch{Values: values})
	if done(err); err != nil {
		undo()
	}
}

// testSoftwire is one that goes with any prefix.
func testSoftwire() softwire.Softwire {
	return softwire.Softwire{
		IPv4: netip.MustParseAddr("192.0.2.1"), B4: netip.MustParseAddr("2001:db8::1"), BR: netip.MustParseAddr("2001:db8:ffff::1"),
	}
}

// one is an exchange of one client.
func one(t *testing.T, r *rig, w *witness, q Query, along bool) {
	s, err := r.Session(t.Context(), q.Client)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := s.Held()
	d, err := s.Grant(q)
	if err != nil {
		if !errors.Is(err, ErrExhausted) && !errors.Is(err, ErrQuota) {
			t.Errorf("%+v: %v", q, err)
		}
		return
	}
	if along {
		alongside(t, r, s, d)
	}
	if err := s.Commit(t.Context()); err != nil {
		return // the client is told nothing
	}
	now := time.Now()
	for _, old := range before {
		// The client is told that it has another one at this link.
		if old.IAID == q.IAID && old.Prefix != d.Prefix {
			if _, ok := w.told[old.Prefix]; ok {
				w.end(old.Prefix, now)
			}
		}
	}
	w.tell(d, now)
}
