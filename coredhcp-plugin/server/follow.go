package server

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/delegation"
)

// followed is what another handler delegates to the client: for each IA_PD the first
// prefix that one of the client's pools has. What it expires by is only what
// the answer says.
func (s *Server) followed(q question, to *dhcpv6.Message) []result {
	now := s.keeper.Now()
	var results []result
	for _, o := range to.Options.Get(dhcpv6.OptionIAPD) {
		pd, ok := o.(*dhcpv6.OptIAPD)
		if !ok || len(results) == maxIAs {
			continue
		}
		for _, p := range pd.Options.Prefixes() {
			prefix, ok := prefixOf(p.Prefix)
			pool := s.holder(q.at, prefix)
			if !ok || p.ValidLifetime < time.Second || pool == nil || prefix.Bits() > 64 {
				continue
			}
			who := q.who
			who.IAID = binary.BigEndian.Uint32(pd.IaId[:])
			results = append(results, result{id: who.IAID, pool: pool, d: delegation.Delegation{
				Prefix: prefix, Holder: who, State: delegation.Bound, Expires: now.Add(p.ValidLifetime),
			}})
			break
		}
	}
	return results
}

// adopt notes what another handler delegates to the client.
func (s *Server) adopt(session *delegation.Session, q question, to *dhcpv6.Message) (results []result, err error) {
	now := s.keeper.Now()
	results = s.followed(q, to)
	for i, r := range results {
		if results[i].d, err = session.Adopt(r.d.Prefix, r.d.Holder, r.d.Expires.Sub(now)); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// follow adjusts the IA_PDs of another handler: no prefix lasts longer than the
// softwire that goes with it.
func (s *Server) follow(to *dhcpv6.Message, results []result, soon bool, now time.Time) {
	for _, o := range to.Options.Get(dhcpv6.OptionIAPD) {
		pd, ok := o.(*dhcpv6.OptIAPD)
		if !ok {
			continue
		}
		if soon && (pd.T1 == 0 || pd.T1 > s.config.Retry) {
			pd.T1 = s.config.Retry
		}
		for _, p := range pd.Options.Prefixes() {
			prefix, _ := prefixOf(p.Prefix)
			for _, r := range results {
				if r.d.Prefix == prefix && r.d.State == delegation.Bound {
					_, valid := r.lifetimes(now)
					p.ValidLifetime = min(p.ValidLifetime, valid)
					p.PreferredLifetime = min(p.PreferredLifetime, valid)
				}
			}
		}
	}
}

// holder is the pool for the clients of a link that has a prefix.
func (s *Server) holder(at link, prefix netip.Prefix) *Pool {
	for _, p := range s.pools(at) {
		if p.holds(prefix) {
			return p
		}
	}
	return nil
}
