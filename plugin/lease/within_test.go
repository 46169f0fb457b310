package lease

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// TestWithin: who asks for ports of a range gets a port set that lies within, while
// there is one: fresh, its own of before, or one that has rested.
func TestWithin(t *testing.T) {
	for _, selection := range []pool.Selection{pool.Pack, pool.Spread} {
		b := testBook(t, testPool("a", "192.0.2.0/30", func(p *pool.Pool) { p.Selection, p.Quota = selection, 3 }))
		ask := func(subscriber int, number uint8, first, last uint16, now time.Time) (Lease, error) {
			q := pcp(subscriber)
			q.Number, q.Within = number, portset.Range{First: first, Last: last}
			g, err := b.Acquire(q, now)
			if err != nil {
				return Lease{}, err
			}
			for block := range g.Lease.Softwire.PortSet.Ranges() {
				if block.First < first || block.Last > last {
					t.Fatalf("%s: asked for %d to %d, got %s", selection, first, last, block)
				}
			}
			return g.Lease, nil
		}
		var got []Lease
		for subscriber := range 4 {
			l, err := ask(subscriber, 0, 40000, 50000, start) // 40960 to 45055 and to 49151
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, l)
		}
		// RFC 7753 section 6.1: further ones are on the same address.
		for number, ports := range []portset.Range{{}, {First: 1, Last: 40000}, {First: 50000, Last: 65535}} {
			if number == 0 {
				continue
			}
			if l, err := ask(0, uint8(number), ports.First, ports.Last, start); err != nil || l.Softwire.IPv4 != got[0].Softwire.IPv4 {
				t.Errorf("%s: number %d: %+v, %v", selection, number, l, err)
			}
		}
		if _, err := ask(0, 3, 1, 65535, start); !errors.Is(err, ErrQuota) {
			t.Errorf("%s: a fourth one: %v", selection, err)
		}
		for _, none := range []portset.Range{{First: 40961, Last: 45055}, {First: 45000, Last: 45001}, {First: 65535, Last: 65535}, {First: 1, Last: 4095}} {
			if l, err := ask(9, 0, none.First, none.Last, start); !errors.Is(err, ErrExhausted) {
				t.Errorf("%s: within %v: %+v, %v", selection, none, l, err)
			}
		}
		for subscriber := 20; ; subscriber++ {
			if _, err := ask(subscriber, 0, 40960, 45055, start); err != nil {
				break
			}
		}
		end(t, b, got[1].Key(), start)
		if l, err := ask(30, 0, 40960, 45055, start); !errors.Is(err, ErrExhausted) {
			t.Errorf("%s: during the hold-down: %+v, %v", selection, l, err)
		}
		later := start.Add(time.Hour)
		own, err := ask(1, 0, 40000, 50000, later)
		if err != nil || own.Key() != got[1].Key() {
			t.Errorf("%s: its own again: %+v, %v", selection, own, err)
		}
	}
}

// TestNext: the least member from a number on.
func TestNext(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, size := range []int{1, 64, 65, 5000} {
		s, members := newBitset(size), make([]bool, size)
		for range size / 20 {
			n := random.IntN(size)
			s.add(n)
			members[n] = true
		}
		for n := range size {
			want, there := n, false
			for ; want < size && !there; want++ {
				there = members[want]
			}
			if got, ok := s.next(n); ok != there || ok && got != want-1 {
				t.Fatalf("size %d: from %d on %d, %v, want %d, %v", size, n, got, ok, want-1, there)
			}
		}
	}
}
