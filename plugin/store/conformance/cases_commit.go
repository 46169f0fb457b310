package conformance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
)

func empty(t *testing.T, place Place) {
	s, stop := start(t, place)
	newContent().check(t, s)
	s, _ = restart(t, place, stop)
	newContent().check(t, s)
}

func leasesLast(t *testing.T, place Place) {
	s, stop := start(t, place)
	want := newContent()
	for _, l := range []lease.Lease{leaseOf(0, 1), leaseOf(1, 2), leaseOf(2, 3), bare(3)} {
		batch := store.Batch{Put: []lease.Lease{l}}
		commit(t, s, batch)
		want.do(batch)
	}
	want.check(t, s)
	s, _ = restart(t, place, stop)
	want.check(t, s)
}

func lastChangeCounts(t *testing.T, place Place) {
	s, stop := start(t, place)
	want := newContent()
	for _, batch := range []store.Batch{
		{Put: []lease.Lease{leaseOf(1, 1), leaseOf(1, 2)}, Values: []store.Value{value("a", "1"), value("a", "2")}},
		{Put: []lease.Lease{bare(1), leaseOf(2, 1)}, Delete: []softwire.Key{keyOf(2), keyOf(3)}},
		{Values: []store.Value{gone("a"), gone("b"), value("b", ""), value("c", "3"), gone("c")}},
	} {
		commit(t, s, batch)
		want.do(batch)
		want.check(t, s)
	}
	s, _ = restart(t, place, stop)
	want.check(t, s)
}

func valuesLast(t *testing.T, place Place) {
	s, stop := start(t, place)
	want := newContent()
	batch := store.Batch{Values: []store.Value{
		value("b", "2"), value("a", "1"), value("\x00", "zero"), value(strings.Repeat("k", store.MaxKey), strings.Repeat("d", store.MaxData)),
	}}
	commit(t, s, batch)
	want.do(batch)
	// Collections whose names begin alike are different ones.
	commit(t, s, store.Batch{Values: []store.Value{
		{Collection: collection + "2", Key: "a", Data: []byte("other")},
		{Collection: collection[:3], Key: "a", Data: []byte("other")},
	}})
	want.check(t, s)
	s, _ = restart(t, place, stop)
	want.check(t, s)
}

func callerKeepsBytes(t *testing.T, place Place) {
	s, _ := start(t, place)
	data, event := []byte("data"), []byte("event")
	commit(t, s, store.Batch{Values: []store.Value{{Collection: collection, Key: "a", Data: data}}, Events: [][]byte{event}})
	want := newContent()
	want.do(store.Batch{Values: []store.Value{value("a", "data")}, Events: [][]byte{[]byte("event")}})
	clear(data)
	clear(event)
	want.check(t, s)
	for v := range s.Values(t.Context(), collection) {
		clear(v.Data)
	}
	want.check(t, s)
}

func allOrNothing(t *testing.T, place Place) {
	s, stop := start(t, place)
	batch := store.Batch{
		Conditions: []store.Condition{{Key: keyOf(1)}, {Key: keyOf(2), Holder: leaseOf(2, 1).Subscriber}},
		Put:        []lease.Lease{leaseOf(1, 1)},
		Values:     []store.Value{value("a", "1")},
		Events:     [][]byte{[]byte("event")},
	}
	if err := s.Commit(t.Context(), batch); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Commit: %v, want ErrConflict", err)
	}
	newContent().check(t, s)
	s, _ = restart(t, place, stop)
	newContent().check(t, s)
}

func conditions(t *testing.T, place Place) {
	s, _ := start(t, place)
	mine, other := leaseOf(1, 1), leaseOf(1, 2)
	steps := []struct {
		name   string
		holder netip.Prefix
		put    lease.Lease
		want   error
	}{
		{"held by nobody, thought to be mine", mine.Subscriber, mine, store.ErrConflict},
		{"held by nobody", netip.Prefix{}, mine, nil},
		{"held by me, thought to be free", netip.Prefix{}, other, store.ErrConflict},
		{"held by me, thought to be another's", other.Subscriber, other, store.ErrConflict},
		{"held by me, given to another", mine.Subscriber, other, nil},
		{"held by another", mine.Subscriber, mine, store.ErrConflict},
	}
	for _, step := range steps {
		batch := store.Batch{Conditions: []store.Condition{{Key: keyOf(1), Holder: step.holder}}, Put: []lease.Lease{step.put}}
		if err := s.Commit(t.Context(), batch); !errors.Is(err, step.want) {
			t.Errorf("%s: Commit: %v, want %v", step.name, err, step.want)
		}
	}
	want := newContent()
	want.do(store.Batch{Put: []lease.Lease{other}})
	want.check(t, s)
	if got := s.Stats().Conflicts; got != 4 {
		t.Errorf("Stats: %d conflicts, want 4", got)
	}
}

func oneOfManyWins(t *testing.T, place Place) {
	s, _ := start(t, place)
	const callers = 16
	errs := make([]error, callers)
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() {
			errs[i] = s.Commit(t.Context(), store.Batch{
				Conditions: []store.Condition{{Key: keyOf(1)}},
				Put:        []lease.Lease{leaseOf(1, byte(i))},
			})
		})
	}
	wait.Wait()
	winner := slices.Index(errs, nil)
	if winner < 0 {
		t.Fatalf("nobody won: %v", errs)
	}
	for i, err := range errs {
		if i != winner && !errors.Is(err, store.ErrConflict) {
			t.Errorf("caller %d: %v, want ErrConflict", i, err)
		}
	}
	want := newContent()
	want.do(store.Batch{Put: []lease.Lease{leaseOf(1, byte(winner))}})
	want.check(t, s)
}

func manyCallers(t *testing.T, place Place) {
	s, stop := start(t, place)
	const callers, each = 16, 20
	var wait sync.WaitGroup
	want := newContent()
	for i := range callers {
		for n := range each {
			want.do(store.Batch{Put: []lease.Lease{leaseOf(uint16(i*each+n), byte(i))}})
		}
		wait.Go(func() {
			for n := range each {
				if err := s.Commit(t.Context(), store.Batch{Put: []lease.Lease{leaseOf(uint16(i*each+n), byte(i))}}); err != nil {
					t.Errorf("Commit: %v", err)
				}
			}
		})
	}
	wait.Wait()
	want.check(t, s)
	if got := s.Stats(); got.Batches != callers*each || got.Transactions == 0 || got.Transactions > got.Batches {
		t.Errorf("Stats: %d batches in %d transactions, want %d batches", got.Batches, got.Transactions, callers*each)
	}
	s, _ = restart(t, place, stop)
	want.check(t, s)
}

func invalid(t *testing.T, place Place) {
	s, _ := start(t, place)
	ipv6 := netip.MustParseAddr("2001:db8::1")
	change := func(f func(l *lease.Lease)) store.Batch {
		l := leaseOf(1, 1)
		f(&l)
		return store.Batch{Put: []lease.Lease{leaseOf(2, 2), l}}
	}
	things := func(v store.Value) store.Batch { return store.Batch{Values: []store.Value{v}} }
	for name, batch := range map[string]store.Batch{
		"lease of IPv6":              change(func(l *lease.Lease) { l.Softwire.IPv4 = ipv6 }),
		"lease of the configuration": change(func(l *lease.Lease) { l.Configured = true }),
		"lease without BR":           change(func(l *lease.Lease) { l.Softwire.BR = netip.Addr{} }),
		"B4 with a zone":             change(func(l *lease.Lease) { l.Softwire.B4 = ipv6.WithZone("eth0") }),
		"subscriber not masked":      change(func(l *lease.Lease) { l.Subscriber = netip.PrefixFrom(ipv6, 56) }),
		"subscriber of IPv4":         change(func(l *lease.Lease) { l.Subscriber = netip.MustParsePrefix("192.0.2.0/24") }),
		"long pool":                  change(func(l *lease.Lease) { l.Pool = strings.Repeat("p", 256) }),
		"attributes":                 change(func(l *lease.Lease) { l.Attributes = "x" }),
		"part of a second":           change(func(l *lease.Lease) { l.Until = l.Until.Add(time.Millisecond) }),
		"before 1970":                change(func(l *lease.Lease) { l.Start = time.Unix(-1, 0) }),
		"deletion of IPv6":           {Delete: []softwire.Key{{IPv4: ipv6}}},
		"condition on nothing":       {Conditions: []store.Condition{{}}},
		"no collection":              things(store.Value{Key: "a"}),
		"collection with a slash":    things(store.Value{Collection: "a/b", Key: "a"}),
		"long collection":            things(store.Value{Collection: strings.Repeat("c", store.MaxCollection+1), Key: "a"}),
		"no key":                     things(value("", "1")),
		"long key":                   things(value(strings.Repeat("k", store.MaxKey+1), "1")),
		"long value":                 things(value("a", strings.Repeat("d", store.MaxData+1))),
		"long event":                 {Events: [][]byte{make([]byte, store.MaxEvent+1)}},
		"many changes":               {Delete: slices.Repeat([]softwire.Key{keyOf(1)}, store.MaxChanges+1)},
	} {
		if err := s.Commit(t.Context(), batch); !errors.Is(err, store.ErrBatch) {
			t.Errorf("%s: %v, want ErrBatch", name, err)
		}
	}
	newContent().check(t, s)
}

func contexts(t *testing.T, place Place) {
	s, stop := start(t, place)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx, store.Batch{Put: []lease.Lease{leaseOf(1, 1)}}); !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrInDoubt) {
		t.Errorf("Commit with a context that has ended: %v", err)
	}
	commit(t, s, store.Batch{Values: []store.Value{value("a", "1"), value("b", "2")}, Put: []lease.Lease{leaseOf(2, 1)}})
	for _, err := range s.Leases(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Leases: %v", err)
		}
	}
	for _, err := range s.Values(ctx, collection) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Values: %v", err)
		}
	}
	if _, err := s.Events(ctx, 0, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Events: %v", err)
	}
	want := newContent()
	want.do(store.Batch{Values: []store.Value{value("a", "1"), value("b", "2")}, Put: []lease.Lease{leaseOf(2, 1)}})
	s, _ = restart(t, place, stop)
	want.check(t, s)
}

func beforeRun(t *testing.T, place Place) {
	s, closeStore := place(t)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	go func() { answer <- s.Commit(ctx, store.Batch{Put: []lease.Lease{leaseOf(1, 1)}}) }()
	newContent().check(t, s)
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrInDoubt) {
		t.Errorf("Commit before Run: %v, want the context's error", err)
	}
	if err := closeStore(); err != nil {
		t.Errorf("close: %v", err)
	}
	s, _ = start(t, place)
	newContent().check(t, s)
}

func closed(t *testing.T, place Place) {
	s, stop := start(t, place)
	stop()
	err := s.Commit(t.Context(), store.Batch{Values: []store.Value{value("a", "1")}})
	if !errors.Is(err, store.ErrClosed) {
		t.Errorf("Commit after Run: %v, want ErrClosed", err)
	}
	if err := s.Drop(t.Context(), 1); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Drop after Run: %v, want ErrClosed", err)
	}
}

// name of a batch in an event.
func nameOf(n int) []byte { return fmt.Append(nil, "event ", n) }
