package lease

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

var start = time.Date(2026, 3, 5, 14, 3, 7, 0, time.UTC)

// testPool lends to everybody, with lifetimes from 1 to 5 minutes.
func testPool(name, prefix string, change func(*pool.Pool)) pool.Pool {
	p := pool.Pool{Name: name, Prefixes: []netip.Prefix{netip.MustParsePrefix(prefix)}, PSIDLen: 4, BR: netip.MustParseAddr("2001:db8:ffff::1")}
	p.SetDefaults()
	p.Mechanisms = []pool.Mechanism{pool.Static, pool.DHCPv6, pool.PCP}
	p.Lifetime = pool.Lifetime{Min: time.Minute, Default: 2 * time.Minute, Max: 5 * time.Minute}
	if change != nil {
		change(&p)
	}
	return p
}

func testBook(t testing.TB, pools ...pool.Pool) *Book {
	t.Helper()
	b := NewBook()
	if err := b.Configure(pools, softwire.Change{}, start); err != nil {
		t.Fatal(err)
	}
	return b
}

// b4 is the lwB4 of the subscriber with that number.
func b4(subscriber int) netip.Addr {
	a := netip.MustParseAddr("2001:db8::b4").As16()
	binary.BigEndian.PutUint32(a[3:], 0xb8000000+uint32(subscriber))
	return netip.AddrFrom16(a)
}
