package conformance

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// collection is where the cases keep values.
const collection = "things"

// content is what a store should have, in maps.
type content struct {
	leases map[softwire.Key]lease.Lease
	values map[string]string
	events []string
}

func newContent() *content {
	return &content{leases: make(map[softwire.Key]lease.Lease), values: make(map[string]string)}
}

// do is what a commit of batch does.
func (c *content) do(batch store.Batch) {
	for _, l := range batch.Put {
		c.leases[l.Key()] = l
	}
	for _, k := range batch.Delete {
		delete(c.leases, k)
	}
	for _, v := range batch.Values {
		if v.Data == nil {
			delete(c.values, v.Key)
			continue
		}
		c.values[v.Key] = string(v.Data)
	}
	for _, e := range batch.Events {
		c.events = append(c.events, string(e))
	}
}

// check compares a store with c.
func (c *content) check(t *testing.T, s store.Store) {
	t.Helper()
	leases := make(map[softwire.Key]lease.Lease)
	for l, err := range s.Leases(t.Context()) {
		if err != nil {
			t.Fatalf("Leases: %v", err)
		}
		if _, twice := leases[l.Key()]; twice {
			t.Errorf("Leases: %s twice", l.Key())
		}
		leases[l.Key()] = l
	}
	if !maps.Equal(leases, c.leases) {
		t.Errorf("leases: got %v\nwant %v", leases, c.leases)
	}
	values := make(map[string]string)
	var order []string
	for v, err := range s.Values(t.Context(), collection) {
		if err != nil {
			t.Fatalf("Values: %v", err)
		}
		if v.Collection != collection {
			t.Errorf("Values: collection %q", v.Collection)
		}
		values[v.Key] = string(v.Data)
		order = append(order, v.Key)
	}
	if diff := cmp.Diff(c.values, values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if !slices.IsSorted(order) {
		t.Errorf("values come in the order %q", order)
	}
	stats := s.Stats()
	if stats.Leases != len(c.leases) || stats.Outbox != len(c.events) {
		t.Errorf("Stats: %d leases and %d events, want %d and %d", stats.Leases, stats.Outbox, len(c.leases), len(c.events))
	}
	if len(c.events) == 0 {
		return
	}
	events, err := s.Events(t.Context(), 0, len(c.events)+1)
	if err != nil {
		t.Fatalf("Events: %v", err)
	}
	var data []string
	for i, e := range events {
		if e.Sequence == 0 || i > 0 && e.Sequence <= events[i-1].Sequence {
			t.Errorf("event %d has the number %d", i, e.Sequence)
		}
		data = append(data, string(e.Data))
	}
	if diff := cmp.Diff(c.events, data); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// keyOf is one of 65,536 keys, of different sizes.
func keyOf(n uint16) softwire.Key {
	ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
	var set portset.PortSet
	var err error
	switch n % 3 {
	case 1:
		set, err = portset.Of(0, 6, n>>10)
	case 2:
		set, err = portset.Of(6, 8, n>>8)
	}
	if err != nil {
		panic(err)
	}
	return softwire.Key{IPv4: ip, PortSet: set}
}

// leaseOf is a lease of key n with everything set.
func leaseOf(n uint16, subscriber byte) lease.Lease {
	prefix := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, subscriber}), 56)
	at := func(seconds int64) time.Time { return time.Unix(1_772_719_387+seconds, 0).UTC() }
	attributes, err := lease.Attributes("").With(lease.DUID, string(bytes.Repeat([]byte{subscriber, 0}, 5)))
	if err != nil {
		panic(err)
	}
	key := keyOf(n)
	return lease.Lease{
		Softwire: softwire.Softwire{
			IPv4: key.IPv4, PortSet: key.PortSet,
			B4: prefix.Addr().Next(), BR: netip.MustParseAddr("2001:db8:ffff::1"),
		},
		Subscriber: prefix,
		Number:     1,
		Pool:       "residential",
		Mechanism:  pool.DHCPv6,
		State:      lease.Bound,
		Reserved:   true,
		Moved:      true,
		Start:      at(0),
		Expires:    at(1),
		Horizon:    at(2),
		Until:      at(3),
		Attributes: attributes,
	}
}

// bare is a lease with as little set as can be.
func bare(n uint16) lease.Lease {
	key := keyOf(n)
	return lease.Lease{
		Softwire:   softwire.Softwire{IPv4: key.IPv4, PortSet: key.PortSet, BR: netip.IPv6Unspecified()},
		Subscriber: netip.PrefixFrom(netip.IPv6Unspecified(), 0),
	}
}

func value(key, data string) store.Value {
	return store.Value{Collection: collection, Key: key, Data: []byte(data)}
}

func gone(key string) store.Value {
	return store.Value{Collection: collection, Key: key}
}
