package speaker

import (
	"cmp"
	"maps"
	"net/netip"
	"reflect"
	"slices"

	"github.com/lwaftr/lw4o6/bgp/feed"
)

// teller sends routes to the peer.
type teller interface {
	announce(feed.Route) error
	withdraw(netip.Prefix) error
}

// table is what the peer should have and what it was sent.
type table struct {
	peer teller
	// source stands for the next hop of routes that have none.
	source netip.Addr
	wanted map[netip.Prefix]feed.Route
	sent   map[netip.Prefix]feed.Route
	// extended: the peer understands IPv6 next hops of IPv4 routes, as far as is
	// known. One that does not may end the session over such a route, so it is told
	// first when it has said so; but a peer that keeps routes from before did say
	// so, and must have them again before it is told that these are all.
	extended bool
}

func newTable(session feed.Session, peer teller) *table {
	return &table{peer: peer, source: session.Peer, extended: session.Restarting,
		sent: make(map[netip.Prefix]feed.Route)}
}

// set makes routes all that the peer should have.
func (t *table) set(routes []feed.Route) error {
	t.wanted = make(map[netip.Prefix]feed.Route, len(routes))
	for _, r := range routes {
		t.wanted[r.Prefix] = r
	}
	return t.send()
}

// understands says whether the peer understands IPv6 next hops of IPv4 routes.
func (t *table) understands(extended bool) error {
	if t.extended == extended {
		return nil
	}
	t.extended = extended
	return t.send()
}

// send makes what the peer has what it should have: withdrawals first, IPv6
// before IPv4, since packets of lwB4s must not come for pools that have gone; and
// then routes the other way round.
func (t *table) send() error {
	for _, prefix := range slices.Backward(ordered(t.sent)) {
		if want, ok := t.wanted[prefix]; ok && t.may(want) {
			continue
		}
		if err := t.peer.withdraw(prefix); err != nil {
			return err
		}
		delete(t.sent, prefix)
	}
	for _, prefix := range ordered(t.wanted) {
		want := t.wanted[prefix]
		if have, ok := t.sent[prefix]; !t.may(want) || ok && reflect.DeepEqual(have, want) {
			continue
		}
		if err := t.peer.announce(want); err != nil {
			return err
		}
		t.sent[prefix] = want
	}
	return nil
}

func (t *table) may(r feed.Route) bool { return t.extended || !r.ExtendedNextHop(t.source) }

// announced is what the peer has, once the session is up.
func (t *table) announced() []netip.Prefix { return ordered(t.sent) }

// withheld is what the peer does not understand.
func (t *table) withheld() []netip.Prefix {
	var all []netip.Prefix
	for _, prefix := range ordered(t.wanted) {
		if !t.may(t.wanted[prefix]) {
			all = append(all, prefix)
		}
	}
	return all
}

// ordered are the prefixes of routes, IPv4 first.
func ordered(routes map[netip.Prefix]feed.Route) []netip.Prefix {
	return slices.SortedFunc(maps.Keys(routes), func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
}

// same compares what two reports say.
func same(a, b feed.Status) bool {
	return a.State == b.State && a.Ended == b.Ended && a.ExtendedNextHop == b.ExtendedNextHop && a.Error == b.Error &&
		a.ErrorTime.Equal(b.ErrorTime) && slices.Equal(a.Announced, b.Announced) && slices.Equal(a.Withheld, b.Withheld)
}
