package lease

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// TestList: pages of any size together are all leases that match, in order.
func TestList(t *testing.T) {
	spread := func(p *pool.Pool) { p.Selection = pool.Spread }
	b := testBook(t, testPool("a", "192.0.2.0/24", spread), testPool("b", "198.51.100.0/24", nil))
	const leases = 3000
	for i := range leases {
		name := "a"
		if i%2 == 1 {
			name = "b"
		}
		if _, err := b.Acquire(Request{B4: b4(i), Mechanism: pool.PCP, Pool: name}, start); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name  string
		page  int
		match func(Lease) bool
		want  int
	}{
		{"all at once", 2 * leases, func(Lease) bool { return true }, leases},
		{"all by pages", 100, func(Lease) bool { return true }, leases},
		// Of pool a 1500 in turns of 256 addresses, and of b all 14 that are lent.
		{"one by one", 1, func(l Lease) bool { return l.Softwire.IPv4.As4()[3] == 7 }, 6 + 14},
		{"one pool", 64, func(l Lease) bool { return l.Pool == "a" }, leases / 2},
		{"none", 10, func(Lease) bool { return false }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var after softwire.Key
			n := 0
			for {
				page := b.List(after, tt.page, tt.match)
				if len(page) > tt.page {
					t.Fatalf("a page of %d leases, at most %d were asked for", len(page), tt.page)
				}
				for _, l := range page {
					if l.Key().Compare(after) <= 0 || !tt.match(l) {
						t.Fatalf("%s comes after %s", l.Key(), after)
					}
					if got, _ := b.Get(l.Key()); got != l {
						t.Fatalf("-Get +List:\n%s", cmp.Diff(got, l))
					}
					after = l.Key()
					n++
				}
				if len(page) < tt.page {
					break
				}
			}
			if n != tt.want {
				t.Errorf("%d leases, want %d", n, tt.want)
			}
		})
	}
}
