package bgp

import (
	"fmt"
	"slices"

	"github.com/lwaftr/lw4o6/bgp/feed"
	"github.com/lwaftr/lw4o6/plugin/announce"
)

// routes is what p gets of all. The configuration is valid.
func (c Config) routes(p Peer, all []announce.Announcement) []feed.Route {
	routes := make([]feed.Route, 0, len(all))
	for _, a := range all {
		family, hop := IPv6, p.NextHopIPv6
		if a.Prefix.Addr().Is4() {
			family, hop = IPv4, p.NextHopIPv4
		}
		if !slices.Contains(p.families(), family) || len(p.Pools) > 0 && !slices.ContainsFunc(a.Pools, p.has) {
			continue
		}
		r := feed.Route{Prefix: a.Prefix, NextHop: hop}
		c.attributes(p, a.Pools).put(&r)
		if a.Blackhole {
			// RFC 7999 section 3.2: not beyond the neighbouring AS.
			r.Communities = append(r.Communities, uint32(blackhole), uint32(noExport))
		}
		if a.Drain {
			c.drain(p, &r)
		}
		slices.Sort(r.Communities)
		r.Communities = slices.Compact(r.Communities)
		routes = append(routes, r)
	}
	return routes
}

func (p Peer) has(pool string) bool { return slices.Contains(p.Pools, pool) }

// attributes are those of p and of pools. Of several pools the first in the
// configuration counts where there can be one value only.
func (c Config) attributes(p Peer, pools []string) Attributes {
	all := Attributes{Communities: slices.Clone(p.Communities), LargeCommunities: slices.Clone(p.LargeCommunities)}
	for _, of := range c.Pools {
		if slices.Contains(pools, of.Pool) {
			all.join(of.Attributes)
		}
	}
	all.join(Attributes{MED: p.MED, LocalPreference: p.LocalPreference, Prepend: p.Prepend})
	if p.internal(c.AS) {
		// A path with the own AS in it is a loop to an iBGP peer.
		all.Prepend = nil
	} else {
		all.LocalPreference = nil
	}
	return all
}

// join adds what of has and a has not.
func (a *Attributes) join(of Attributes) {
	a.Communities = append(a.Communities, of.Communities...)
	a.LargeCommunities = append(a.LargeCommunities, of.LargeCommunities...)
	if a.MED == nil {
		a.MED = of.MED
	}
	if a.LocalPreference == nil {
		a.LocalPreference = of.LocalPreference
	}
	if a.Prepend == nil {
		a.Prepend = of.Prepend
	}
}

// put gives a to r. Communities are a set (RFC 1997, RFC 8092 section 3).
func (a Attributes) put(r *feed.Route) {
	r.MED, r.LocalPref = a.MED, a.LocalPreference
	if a.Prepend != nil {
		r.Prepend = *a.Prepend
	}
	for _, c := range a.Communities {
		r.Communities = append(r.Communities, uint32(c))
	}
	for _, c := range a.LargeCommunities {
		r.Large = append(r.Large, c)
	}
	slices.SortFunc(r.Large, func(a, b [3]uint32) int { return slices.Compare(a[:], b[:]) })
	r.Large = slices.Compact(r.Large)
}

// drain makes r one that nobody uses who has another (RFC 8326 section 4.2): "the
// lowest possible value" of the local preference within the AS, and the community
// for everybody.
func (c Config) drain(p Peer, r *feed.Route) {
	r.Communities = append(r.Communities, uint32(gracefulShutdown))
	if p.internal(c.AS) {
		r.LocalPref = new(uint32)
	} else {
		r.Prepend += c.Drain.Prepend
	}
	if c.Drain.MED != nil {
		r.MED = c.Drain.MED
	}
}

// checkAnnouncements refuses what no peer could be told.
func checkAnnouncements(all []announce.Announcement) error {
	if len(all) > feed.MaxRoutes {
		return fmt.Errorf("%d routes; at most %d can be announced", len(all), feed.MaxRoutes)
	}
	seen := make(map[string]bool, len(all))
	for _, a := range all {
		text := a.Prefix.String()
		if !a.Prefix.IsValid() || a.Prefix != a.Prefix.Masked() || a.Prefix.Addr().Is4In6() {
			return fmt.Errorf("%s is not a prefix that can be announced", text)
		}
		if seen[text] {
			return fmt.Errorf("%s is there twice", text)
		}
		seen[text] = true
	}
	return nil
}
