package delegation

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// TestAlongside: what becomes durable together with something else needs no commit
// of its own, counts once, and is there after a restart; the prefix is kept for as
// long as the client was told, also when a later part of the exchange fails.
func TestAlongside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, small("a", "2001:db8:a::/53", 56))
		exchange := func(commits bool) (Delegation, error) {
			s, err := r.Session(t.Context(), "c1")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			d, err := s.Grant(from("c1"))
			if err != nil {
				t.Fatal(err)
			}
			alongside(t, r, s, d)
			before := r.store.Stats().Batches
			s.Provision(d.Prefix, testSoftwire(), time.Time{})
			s.Limit(d.Prefix, time.Now().Add(20*time.Minute))
			if !commits {
				return d, nil
			}
			err = s.Commit(t.Context())
			if more := r.store.Stats().Batches - before; err == nil && more != 0 {
				t.Errorf("%d further commits", more)
			}
			return d, err
		}
		d, err := exchange(true)
		if err != nil {
			t.Fatal(err)
		}
		if s := r.Stats(); s.Granted != 1 || s.Extended != 0 {
			t.Errorf("counted %+v", s)
		}
		if got, _ := r.Get(d.Prefix); !got.Expires.Equal(ceil(time.Now().Add(20 * time.Minute))) {
			t.Errorf("expires %s", got.Expires)
		}
		time.Sleep(time.Minute)
		if _, err := exchange(true); err != nil {
			t.Fatal(err)
		}
		if s := r.Stats(); s.Granted != 1 || s.Extended != 1 {
			t.Errorf("counted %+v", s)
		}
		if _, err := exchange(false); err != nil {
			t.Fatal(err)
		}
		r = r.restart(small("a", "2001:db8:a::/53", 56))
		if got, _ := r.Get(d.Prefix); got.State != Bound || got.Client != "c1" || got.Softwire != testSoftwire() || !got.Owing {
			t.Errorf("after a restart: %+v", got)
		}
	})
}

// TestAlongsideFails: when what was to become durable together with something else
// did not, the session's own commit makes it durable, without the softwire that was
// not granted.
func TestAlongsideFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, what := range map[string]fate{"refused": refused, "lost": lost, "done": doubted} {
			r := newRig(t, small("a", "2001:db8:a::/53", 56))
			s, err := r.Session(t.Context(), "c1")
			if err != nil {
				t.Fatal(err)
			}
			d, err := s.Grant(from("c1"))
			if err != nil {
				t.Fatal(err)
			}
			s.Owe(d.Prefix)
			r.store.fail(func() fate { return what })
			alongside(t, r, s, d)
			if err := s.Commit(t.Context()); !errors.Is(err, store.ErrStorage) && !errors.Is(err, store.ErrInDoubt) {
				t.Errorf("%s: the store fails, and the commit says %v", name, err)
			}
			s.Close()
			r.store.fail(nil)
			if d = r.must(from("c1")); d.State != Bound {
				t.Errorf("%s: %+v", name, d)
			}
			r = r.restart(small("a", "2001:db8:a::/53", 56))
			if got, _ := r.Get(d.Prefix); got.State != Bound || got.Softwire != (softwire.Softwire{}) {
				t.Errorf("%s: after a restart %+v", name, got)
			}
			r.stop()
		}
	})
}
