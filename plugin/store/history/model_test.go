package history

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world makes events as a router would, and knows every Hold that they make.
type world struct {
	r      *rand.Rand
	now    time.Time
	events []Event
	holds  []Hold               // in the order of their starts
	open   map[softwire.Key]int // of those that last, the place in holds
}

func newWorld(r *rand.Rand) *world {
	return &world{r: r, now: time.UnixMilli(1_700_000_000_000).UTC(), open: make(map[softwire.Key]int)}
}

// keys of the world: shared addresses of two kinds, and a whole one.
func (w *world) key() softwire.Key {
	a, k := uint8(0), uint8(4)
	host := byte(w.r.IntN(5))
	switch host {
	case 3:
		a, k = 6, 3
	case 4:
		k = 0
	}
	set, err := portset.Of(a, k, uint16(w.r.IntN(1<<k)))
	if err != nil {
		panic(err)
	}
	return softwire.Key{IPv4: netip.AddrFrom4([4]byte{192, 0, 2, host}), PortSet: set}
}

func (w *world) holder(key softwire.Key) Holder {
	n := w.r.IntN(30)
	ip := netip.MustParseAddr("2001:db8::").As16()
	binary.BigEndian.PutUint16(ip[5:], uint16(n))
	ip[7] = byte(n % 16) // beyond the shorter prefixes
	bits := []int{56, 56, 60, 64, 128}[n%5]
	ip[15] = 1
	h := Holder{
		Subscriber: netip.PrefixFrom(netip.AddrFrom16(ip), bits).Masked(), B4: netip.AddrFrom16(ip),
		BR: netip.MustParseAddr("2001:db8:ffff::1"), Pool: "a", Mechanism: "pcp",
		Attributes: lease.Attributes([]byte{1, 1, byte(n)}),
	}
	if n == 7 {
		h.B4 = netip.MustParseAddr("fd00::7") // a lwB4 elsewhere
	}
	if key.PortSet.Params().Offset() > 0 {
		h.Pool, h.Mechanism = "b", pool.Mechanism("dhcpv6")
	}
	return h
}

// step makes the next event.
func (w *world) step() Event {
	// Some things happen in the same millisecond, some after a day.
	w.now = w.now.Add([]time.Duration{0, time.Millisecond, time.Second, time.Minute, time.Hour, 20 * time.Hour}[w.r.IntN(6)])
	key := w.key()
	e := Event{Sequence: uint64(1 + w.r.IntN(3)), Time: w.now, Key: key}
	if n := len(w.events); n > 0 {
		e.Sequence += w.events[n-1].Sequence
	}
	i, held := w.open[key]
	switch {
	case !held:
		e.Kind, e.Holder = Allocated, w.holder(key)
	case w.r.IntN(4) == 0:
		e.Kind, e.Holder = Changed, w.holds[i].Holder
		e.B4 = netip.AddrFrom16([16]byte{0xfd, 15: byte(w.r.IntN(200))})
	default:
		e.Kind, e.Holder = []Kind{Released, Expired, Moved, Removed}[w.r.IntN(4)], w.holds[i].Holder
	}
	e.Reason = fmt.Sprintf("reason %d", w.r.IntN(3))
	w.take(e)
	return e
}

// take keeps what e says.
func (w *world) take(e Event) {
	w.events = append(w.events, e)
	edge := Edge{e.Time, e.Kind, e.Reason}
	if i, held := w.open[e.Key]; held {
		w.holds[i].End = edge
		if e.Kind == Changed {
			w.holds[i].End.Reason = ""
		}
		delete(w.open, e.Key)
	}
	if e.Kind.Begins() {
		w.open[e.Key] = len(w.holds)
		w.holds = append(w.holds, Hold{Key: e.Key, Holder: e.Holder, Start: edge})
	}
}

// upTo is the world as it was after the event with a sequence.
func (w *world) upTo(sequence uint64) *world {
	was := &world{r: w.r, open: make(map[softwire.Key]int)}
	for _, e := range w.events {
		if e.Sequence <= sequence {
			was.now = e.Time
			was.take(e)
		}
	}
	return was
}

// who had a port at a time.
func (w *world) who(ip netip.Addr, port uint16, at time.Time) (found []Hold) {
	for _, h := range w.holds {
		if h.Key.IPv4 == ip && h.Key.PortSet.Contains(port) && !at.Before(h.Start.Time) && (h.End.Time.IsZero() || at.Before(h.End.Time)) {
			found = append(found, h)
		}
	}
	return found
}

// list is the holds that last at since or end later and that a filter takes, in
// order.
func (w *world) list(since time.Time, filter func(Hold) bool) []Hold {
	var all []Hold
	for _, h := range w.holds {
		if (h.End.Time.IsZero() || !h.End.Time.Before(since)) && filter(h) {
			all = append(all, h)
		}
	}
	slices.SortStableFunc(all, func(a, b Hold) int {
		return cmp.Or(a.Key.Compare(b.Key), a.Start.Time.Compare(b.Start.Time))
	})
	return all
}

// same fails the test unless the holds are the same ones.
func same(t *testing.T, what string, want, got []Hold) {
	t.Helper()
	if !slices.Equal(want, got) {
		options := cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}, softwire.Key{})
		t.Fatalf("%s: -want +got:\n%s", what, gocmp.Diff(want, got, options))
	}
}

func collect(t *testing.T, v *View, q Query) []Hold {
	t.Helper()
	var all []Hold
	for h, err := range v.Holds(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	return all
}

// compare holds a View against the world. It returns how many of the questions
// about ports had an answer.
func (w *world) compare(t *testing.T, v *View, questions int) (answers int) {
	t.Helper()
	since := v.Since()
	for range questions {
		key := w.key()
		at := w.now.Add(-time.Duration(w.r.Int64N(int64(w.now.Sub(w.events[0].Time)) + 1e9)))
		if w.r.IntN(2) == 0 {
			at = w.events[w.r.IntN(len(w.events))].Time // the moment of a change
		}
		port := uint16(w.r.UintN(1 << 16))
		got, ok, err := v.Who(t.Context(), key.IPv4, port, at)
		if at.Truncate(time.Millisecond).Before(since) {
			if !errors.Is(err, ErrBefore) {
				t.Fatalf("%s port %d at %s, before %s: %v", key.IPv4, port, at, since, err)
			}
			continue
		}
		want := w.who(key.IPv4, port, at)
		if len(want) > 1 {
			t.Fatalf("the world itself has %d holders", len(want))
		}
		if err != nil || ok != (len(want) == 1) {
			t.Fatalf("%s port %d at %s: got %+v, %t, %v; want %+v", key.IPv4, port, at, got, ok, err, want)
		}
		if ok {
			answers++
			same(t, fmt.Sprintf("%s port %d at %s", key.IPv4, port, at), want, []Hold{got})
		}
	}
	same(t, "all holds", w.list(since, func(Hold) bool { return true }), collect(t, v, Query{From: since}))
	w.compareQuery(t, v)
	return answers
}

// compareQuery holds one query, made of random conditions, against the world.
func (w *world) compareQuery(t *testing.T, v *View) {
	t.Helper()
	q := Query{From: v.Since()}
	like := w.holds[w.r.IntN(len(w.holds))]
	if w.r.IntN(2) == 0 {
		q.Subscriber = like.Subscriber
		if w.r.IntN(2) == 0 {
			q.Subscriber = netip.PrefixFrom(like.B4, 28+w.r.IntN(101))
		}
	}
	if w.r.IntN(4) == 0 {
		q.B4 = like.B4
	}
	if w.r.IntN(4) == 0 {
		q.IPv4 = netip.PrefixFrom(like.Key.IPv4, 29+w.r.IntN(4)).Masked()
	}
	if w.r.IntN(4) == 0 {
		q.Port = new(uint16(w.r.UintN(1 << 16)))
	}
	if w.r.IntN(4) == 0 {
		q.Pool = like.Pool
	}
	if w.r.IntN(2) == 0 {
		q.From = q.From.Add(time.Duration(w.r.Int64N(int64(w.now.Sub(q.From)) + 1))).Truncate(time.Millisecond)
	}
	if w.r.IntN(2) == 0 {
		q.To = q.From.Add(time.Duration(w.r.Int64N(int64(w.now.Sub(q.From)) + 1))).Truncate(time.Millisecond)
	}
	want := w.list(q.From, func(h Hold) bool {
		return (q.Subscriber == netip.Prefix{} || q.Subscriber.Overlaps(h.Subscriber)) &&
			(!q.B4.IsValid() || q.B4 == h.B4) &&
			(!q.IPv4.IsValid() || q.IPv4.Contains(h.Key.IPv4)) &&
			(q.Port == nil || h.Key.PortSet.Contains(*q.Port)) &&
			(q.Pool == "" || q.Pool == h.Pool) &&
			(h.End.Time.IsZero() || h.End.Time.After(q.From) || !h.Start.Time.Before(q.From)) &&
			(q.To.IsZero() || h.Start.Time.Before(q.To))
	})
	same(t, fmt.Sprintf("%+v", q), want, collect(t, v, q))
	// The same in parts.
	var parts []Hold
	for {
		n := 0
		for h, err := range v.Holds(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, h)
			q.After = q.After.Past(h)
			if n++; n == 7 {
				break
			}
		}
		after, err := ParseCursor(q.After.String())
		if err != nil || after != q.After {
			t.Fatalf("cursor %v: %v, %v", q.After, after, err)
		}
		if n < 7 {
			break
		}
	}
	same(t, fmt.Sprintf("in parts of 7: %+v", q), want, parts)
}

func quiet(t *testing.T) logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(t.Output())
	return log
}

func smallLimits() limits {
	return limits{events: 60, bytes: 1 << 20, journal: 1 << 20, fanIn: 3, retries: time.Millisecond}
}

// TestCrashInFlush: power is lost after any write of making a run has failed.
func TestCrashInFlush(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	failures := 0
	for fails := range 30 {
		for round := range 10 {
			r := rand.New(rand.NewPCG(seed, uint64(fails*100+round)))
			w := newWorld(r)
			d := newFakeDisk()
			l, err := open(d, Config{}, quiet(t), smallLimits())
			if err != nil {
				t.Fatal(err)
			}
			fill(t, l, w, smallLimits().events-1)
			acknowledged := l.Stats().Sequence
			d.fails = fails
			if err := l.Append(t.Context(), []Event{w.step()}); err == nil {
				acknowledged = l.Stats().Sequence
			}
			failures += d.failed
			if l, err = open(d.crash(r), Config{}, quiet(t), smallLimits()); err != nil {
				t.Fatalf("write %d failed: %v", fails, err)
			}
			if l.Stats().Sequence < acknowledged {
				t.Fatalf("write %d failed: event %d was durable, and the last one is %d", fails, acknowledged, l.Stats().Sequence)
			}
			v := l.View()
			w.upTo(l.Stats().Sequence).compare(t, v, 5)
			closeAll(t, v)
		}
	}
	if failures < 100 {
		t.Errorf("only %d writes failed", failures)
	}
}

// TestModel compares a history, which fails and loses power all the time, with
// the world that it is of.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	answers, crashes, failures, merges, forgotten := 0, 0, 0, 0, 0
	for round := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, round))
		w := newWorld(r)
		d := newFakeDisk()
		config := Config{}
		if round%2 == 0 {
			config.Retention = time.Duration(1+r.IntN(100)) * 24 * time.Hour
		}
		l, err := open(d, config, quiet(t), smallLimits())
		if err != nil {
			t.Fatal(err)
		}
		var acknowledged uint64
		restart := func() {
			crashes++
			failures += d.failed
			d = d.crash(r)
			if l, err = open(d, config, quiet(t), smallLimits()); err != nil {
				t.Fatal(err)
			}
			if l.Stats().Sequence < acknowledged {
				t.Fatalf("event %d was durable, and the last one is %d", acknowledged, l.Stats().Sequence)
			}
		}
		for range 120 {
			switch r.IntN(9) {
			case 0:
				restart()
			case 1:
				d.fails = r.IntN(25)
			case 3:
				// Killed, and what was written is there, but not all of it durable.
				if l, err = open(d, config, quiet(t), smallLimits()); err != nil && !errors.Is(err, errDisk) {
					t.Fatal(err)
				} else if err != nil {
					restart()
				}
			case 2:
				if did, err := l.tidy(context.Background()); did {
					merges++
				} else if err != nil && !errors.Is(err, errDisk) {
					t.Fatal(err)
				}
			default:
				for range r.IntN(60) {
					w.step()
				}
				// From some event before the first that may be missing.
				from, _ := slices.BinarySearchFunc(w.events, acknowledged, func(e Event, s uint64) int { return cmp.Compare(e.Sequence, s+1) })
				from = max(0, from-r.IntN(5))
				if err := l.Append(t.Context(), w.events[from:]); err == nil && len(w.events) > 0 {
					acknowledged = w.events[len(w.events)-1].Sequence
				} else if err != nil && !errors.Is(err, errDisk) {
					t.Fatal(err)
				}
			}
			if r.IntN(10) == 0 && l.Stats().Sequence > 0 {
				v := l.View()
				answers += w.upTo(l.Stats().Sequence).compare(t, v, 20)
				if v.Since().After(w.events[0].Time) {
					forgotten++
				}
				if err := v.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		failures += d.failed
		d.fails = -1
		if err := l.Append(t.Context(), w.events); err != nil {
			t.Fatal(err)
		}
		merges += tidyAll(t, l)
		v := l.View()
		answers += w.compare(t, v, 200)
		if err := errors.Join(v.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d answers, %d crashes, %d failures, %d merges, %d times something was forgotten", answers, crashes, failures, merges, forgotten)
	if answers < 300 || crashes < 30 || failures < 25 || merges < 15 || forgotten < 3 {
		t.Error("too little was tried")
	}
}
