package softwire

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"testing"

	"github.com/lwaftr/lw4o6/plugin/portset"
)

// shape is a way to arrange about a million softwires.
type shape struct {
	name      string
	addresses int
	scattered bool // over all of IPv4 instead of one after the other
	length    uint8
	first     int // PSID; lower ones are not bound
	perB4     int // softwires of one lwB4
}

var shapes = []shape{
	{"16384 addresses of 63 sets", 16384, false, 6, 1, 1},
	{"1024 addresses of 1023 sets", 1024, false, 10, 1, 1},
	{"1048576 whole addresses", 1 << 20, false, 0, 0, 1},
	{"1048576 scattered addresses", 1 << 20, true, 0, 0, 1},
	{"four sets to each lwB4", 16384, false, 6, 0, 4},
}

// all yields the softwires of the shape, in order unless it is scattered.
func (sh shape) all(t testing.TB) iter.Seq[Softwire] {
	p, err := portset.NewParams(0, sh.length)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(Softwire) bool) {
		n := 0
		for i := range sh.addresses {
			ip := sh.ipv4(i)
			for psid := sh.first; psid < p.Sets(); psid++ {
				if !yield(Softwire{ip, setOf(p, uint16(psid)), subscriber(n / sh.perB4), someBR}) {
					return
				}
				n++
			}
		}
	}
}

// ipv4 is the i-th address: from 20.0.0.0 on, or over 20.0.0.0 to 83.255.255.255.
func (sh shape) ipv4(i int) netip.Addr {
	ip := uint32(i)
	if sh.scattered {
		ip = ip * 2654435761 >> 2 // no two are equal: the table would refuse them
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 20<<24+ip)
	return netip.AddrFrom4(b)
}

var someBR = netip.MustParseAddr("2001:db8:ffff::1")

// subscriber is the lwB4 address of the n-th subscriber.
func subscriber(n int) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint32(b[:], 0x20010db8)
	binary.BigEndian.PutUint32(b[4:], uint32(n)<<8)
	b[15] = 1
	return netip.AddrFrom16(b)
}

func load(t testing.TB, sh shape) *Table {
	t.Helper()
	table := NewTable()
	b := &batch{}
	for s := range sh.all(t) {
		if err := b.put(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.sort(); err != nil {
		t.Fatal(err)
	}
	if err := table.apply(b); err != nil {
		t.Fatal(err)
	}
	return table
}
