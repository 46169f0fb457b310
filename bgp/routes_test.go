package bgp

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lwaftr/lw4o6/bgp/feed"
	"github.com/lwaftr/lw4o6/plugin/announce"
)

func announcement(prefix string, pools ...string) announce.Announcement {
	return announce.Announcement{Prefix: netip.MustParsePrefix(prefix), Pools: pools}
}

// TestRoutes: who gets which routes with which attributes.
func TestRoutes(t *testing.T) {
	c := good()
	c.Pools = []PoolAttributes{
		{Pool: "work", Attributes: Attributes{MED: new(uint32(7)), Prepend: new(uint8(2)), LocalPreference: new(uint32(70)),
			Communities: []Community{2, 1}, LargeCommunities: []LargeCommunity{{2, 0, 0}, {1, 9, 9}}}},
		{Pool: "home", Attributes: Attributes{MED: new(uint32(8)), Communities: []Community{3, 1}}},
	}
	c.Drain = Drain{MED: new(uint32(1000)), Prepend: 3}
	hop6 := netip.MustParseAddr("2001:db8::9")
	external, internal := c.Peers[0], c.Peers[0]
	external.NextHopIPv6, internal.NextHopIPv6 = hop6, hop6
	external.MED, external.Communities = new(uint32(5)), []Community{9}
	internal.AS, internal.LocalPreference = c.AS, new(uint32(200))
	with := func(a announce.Announcement, change func(*announce.Announcement)) announce.Announcement {
		change(&a)
		return a
	}
	drain := func(a *announce.Announcement) { a.Drain = true }
	prefix := netip.MustParsePrefix("192.0.2.0/24")
	tests := []struct {
		name string
		peer Peer
		of   announce.Announcement
		want []feed.Route
	}{
		{"of the peer alone", external, announcement("192.0.2.0/24"), []feed.Route{
			{Prefix: prefix, MED: new(uint32(5)), Communities: []uint32{9}}}},
		{"of a pool", external, announcement("192.0.2.0/24", "home"), []feed.Route{
			{Prefix: prefix, MED: new(uint32(8)), Communities: []uint32{1, 3, 9}}}},
		{"of two pools", external, announcement("192.0.2.0/24", "home", "work"), []feed.Route{
			{Prefix: prefix, MED: new(uint32(7)), Prepend: 2, Communities: []uint32{1, 2, 3, 9}, Large: [][3]uint32{{1, 9, 9}, {2, 0, 0}}}}},
		{"an IPv6 route", external, announcement("2001:db8:ffff::1/128"), []feed.Route{
			{Prefix: netip.MustParsePrefix("2001:db8:ffff::1/128"), NextHop: hop6, MED: new(uint32(5)), Communities: []uint32{9}}}},
		{"iBGP", internal, announcement("192.0.2.0/24"), []feed.Route{{Prefix: prefix, LocalPref: new(uint32(200))}}},
		{"iBGP and a pool, without its prepends", internal, announcement("192.0.2.0/24", "work"), []feed.Route{
			{Prefix: prefix, LocalPref: new(uint32(70)), MED: new(uint32(7)), Communities: []uint32{1, 2}, Large: [][3]uint32{{1, 9, 9}, {2, 0, 0}}}}},
		{"draining", external, with(announcement("192.0.2.0/24"), drain), []feed.Route{
			{Prefix: prefix, MED: new(uint32(1000)), Prepend: 3, Communities: []uint32{9, 0xffff0000}}}},
		{"draining in iBGP", internal, with(announcement("192.0.2.0/24"), drain), []feed.Route{
			{Prefix: prefix, MED: new(uint32(1000)), LocalPref: new(uint32), Communities: []uint32{0xffff0000}}}},
		{"a black hole", external, with(announcement("192.0.2.0/24"), func(a *announce.Announcement) { a.Blackhole = true }), []feed.Route{
			{Prefix: prefix, MED: new(uint32(5)), Communities: []uint32{9, 0xffff029a, 0xffffff01}}}},
		{"not a family of the peer", peerWith(external, func(p *Peer) { p.Families = []Family{IPv6} }), announcement("192.0.2.0/24"), nil},
		{"a pool of the peer", peerWith(external, func(p *Peer) { p.Pools = []string{"x", "work"} }), announcement("2001:db8::/128", "home"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := c.routes(tt.peer, []announce.Announcement{tt.of})
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func peerWith(p Peer, change func(*Peer)) Peer {
	change(&p)
	return p
}
