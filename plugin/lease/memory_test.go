package lease

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/pool"
)

// large is a pool of 16,777,216 port sets, of which 14,680,064 are lendable.
func large(p *pool.Pool) {
	p.Prefixes = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/12")}
	p.PSIDLen = 4
	p.Lifetime.Max = 24 * time.Hour
	p.Mechanisms = []pool.Mechanism{pool.DHCPv6, pool.PCP}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// withDUID is a request that brings what DHCPv6 has to be remembered.
func withDUID(t testing.TB, subscriber int) Request {
	a, err := Attributes("").With(DUID, "\x00\x03\x00\x01\x02\x00\x5e\x10\x00\x01")
	if err != nil {
		t.Fatal(err)
	}
	return Request{B4: b4(subscriber), Mechanism: pool.DHCPv6, Attributes: a}
}

// TestMemory holds what a pool of 16 million port sets costs to 64 MiB, and a
// lease to 192 bytes with an attribute of 12.
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory is in the measurement")
	}
	if testing.Short() {
		t.Skip("-short: a million leases take seconds")
	}
	before := heapInUse()
	b := testBook(t, testPool("a", "10.0.0.0/12", large))
	state := heapInUse() - before
	t.Logf("%d lendable port sets: %d bytes", b.Stats()[0].Lendable, state)
	if state > 64<<20 {
		t.Errorf("%d bytes for 16 million port sets", state)
	}
	const leases = 1_000_000
	for i := range leases {
		if _, err := b.Acquire(withDUID(t, i), start.Add(time.Duration(i))); err != nil {
			t.Fatal(err)
		}
	}
	each := float64(heapInUse()-before-state) / leases
	t.Logf("%d leases: %.1f bytes each", b.Stats()[0].Bound, each)
	if each > 192 {
		t.Errorf("%.1f bytes for a lease", each)
	}
	runtime.KeepAlive(b)
}

func BenchmarkAcquire(b *testing.B) {
	book := testBook(b, testPool("a", "10.0.0.0/12", large))
	for i := 0; b.Loop(); i++ {
		if _, err := book.Acquire(withDUID(b, i), start); err != nil {
			b.Fatal(err)
		}
	}
}

// million is a Book with a million leases.
func million(b *testing.B) *Book {
	b.Helper()
	book := testBook(b, testPool("a", "10.0.0.0/12", large))
	for i := range 1_000_000 {
		if _, err := book.Acquire(withDUID(b, i), start); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	return book
}

func BenchmarkRenew(b *testing.B) {
	book := million(b)
	for i := 0; b.Loop(); i++ {
		now := start.Add(time.Duration(i) * time.Microsecond)
		if _, err := book.Renew(Request{B4: b4(i * 7919 % 1_000_000), Mechanism: pool.DHCPv6}, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReturn releases a lease and gives it back.
func BenchmarkReturn(b *testing.B) {
	book := million(b)
	for i := 0; b.Loop(); i++ {
		q := withDUID(b, i*7919%1_000_000)
		l, _, err := book.Held(q)
		if err != nil {
			b.Fatal(err)
		}
		if l, err = book.Leave(l.Key()); err != nil {
			b.Fatal(err)
		}
		if err := book.Rest(book.Rested(l, start)); err != nil {
			b.Fatal(err)
		}
		if _, err := book.Acquire(q, start); err != nil {
			b.Fatal(err)
		}
	}
}
