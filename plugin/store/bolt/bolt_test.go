package bolt

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/conformance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Place {
		path := filepath.Join(t.TempDir(), "store")
		return func(t *testing.T) (store.Store, func() error) {
			t.Helper()
			s := mustOpen(t, path)
			return s, s.Close
		}
	})
}

func mustOpen(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs s until the returned function is called.
func run(t testing.TB, s *Store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func commit(t testing.TB, s *Store, b store.Batch) {
	t.Helper()
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// leaseOf is the n-th of 65,536 leases.
func leaseOf(n uint16) lease.Lease {
	set, err := portset.Of(0, 8, n&0xff)
	if err != nil {
		panic(err)
	}
	prefix := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(n >> 8), byte(n)}), 56)
	return lease.Lease{
		Softwire: softwire.Softwire{
			IPv4: netip.AddrFrom4([4]byte{192, 0, 2, byte(n >> 8)}), PortSet: set,
			B4: prefix.Addr().Next(), BR: netip.MustParseAddr("2001:db8:ffff::1"),
		},
		Subscriber: prefix, Pool: "residential", Mechanism: pool.PCP, State: lease.Bound, Start: time.Unix(1_772_719_387, 0).UTC(),
	}
}

// filled makes a store whose tables need several pages, and returns its leases.
func filled(t testing.TB, path string) map[softwire.Key]lease.Lease {
	t.Helper()
	s := mustOpen(t, path)
	stop := run(t, s)
	want := make(map[softwire.Key]lease.Lease)
	for from := uint16(0); from < 200; from += 50 {
		var b store.Batch
		for n := from; n < from+50; n++ {
			b.Put = append(b.Put, leaseOf(n))
			want[leaseOf(n).Key()] = leaseOf(n)
		}
		b.Events = [][]byte{fmt.Append(nil, "event ", from)}
		b.Values = []store.Value{{Collection: "clock", Key: fmt.Sprint(from), Data: []byte("noon")}}
		commit(t, s, b)
	}
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return want
}

// all is the leases of s.
func all(t testing.TB, s *Store) map[softwire.Key]lease.Lease {
	t.Helper()
	got := make(map[softwire.Key]lease.Lease)
	for l, err := range s.Leases(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got[l.Key()] = l
	}
	return got
}

func checkLeases(t testing.TB, s *Store, want map[softwire.Key]lease.Lease) {
	t.Helper()
	if got := all(t, s); !maps.Equal(got, want) {
		t.Errorf("%d leases, want %d; got %v", len(got), len(want), got)
	}
}
