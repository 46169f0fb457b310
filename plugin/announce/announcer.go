package announce

import (
	"context"
	"net/netip"
	"slices"
)

// Announcement is one route that leads packets to this router.
type Announcement struct {
	// Prefix is an aggregate of pools (IPv4), or the prefix of a BR address
	// (IPv6). It is masked, and announced exactly as it is.
	Prefix netip.Prefix
	// Pools are the names of the pools that need the route, ascending: those in an
	// aggregate, or those whose lwB4s tunnel to the BR address. A peer that is for
	// certain pools gets the routes that have one of them.
	Pools []string
	// Drain: traffic should leave, and the route is about to go. It carries
	// GRACEFUL_SHUTDOWN (RFC 8326), and MED and prepends if the configuration of
	// the speakers says so.
	Drain bool
	// Blackhole: Prefix is a single address, and peers are to discard what is for
	// it. It carries BLACKHOLE (RFC 7999).
	Blackhole bool
}

// Announcer gives routes to the network. The gate calls it from one goroutine.
type Announcer interface {
	// ForwardingPreserved says that packets have been forwarded all along for what
	// peers may still have from an earlier run of this router, so that they should
	// keep it until they have the first set (RFC 4724). It is called before that
	// set, or never.
	ForwardingPreserved()
	// Set makes all the whole set of routes that peers have from us: what is not
	// in it is withdrawn. No two elements have the same Prefix. The order of two
	// calls is the order in which each peer sees their changes. Within a call IPv6
	// goes first and comes last, so that packets of lwB4s are drawn here only while
	// those for them are.
	//
	// nil is no set: nothing is known yet, so peers keep what they have from an
	// earlier run of this router, and nothing is sent. An empty set that is not
	// nil withdraws everything.
	//
	// Set returns when the set is taken over, and does not wait for peers: what
	// one misses because its session is down, it gets when that is up again. An
	// error means that the set was not taken over, and that the caller may try
	// again. The caller keeps all.
	Set(ctx context.Context, all []Announcement) error
}

// equal reports whether two sets say the same. No set is not an empty one.
func equal(a, b []Announcement) bool {
	same := func(a, b Announcement) bool {
		return a.Prefix == b.Prefix && a.Drain == b.Drain && a.Blackhole == b.Blackhole && slices.Equal(a.Pools, b.Pools)
	}
	return (a == nil) == (b == nil) && slices.EqualFunc(a, b, same)
}
