package server

import (
	"context"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/delegation"
)

// advertise answers a Solicit with what a Request would get (RFC 8415 section
// 18.3.9). Nothing is made durable.
func (s *Server) advertise(ctx context.Context, q question, to *dhcpv6.Message) error {
	t := told{pool: s.first(q)}
	have := s.keeper.Held(q.who.Client)
	var results []result
	if s.config.Follow {
		results = s.followed(q, to)
	} else {
		results = s.offer(q, have)
		s.render(to, results, false)
	}
	// What a Request would leave the client with.
	have = slices.DeleteFunc(have, func(h delegation.Delegation) bool {
		return slices.ContainsFunc(results, func(r result) bool { return r.replaces(h) })
	})
	if d, _ := carrier(have, results); d.State == delegation.Bound {
		if p := s.poolWith(q, d); p != nil {
			t.pool = p
		}
		if slices.Contains(q.asked, dhcpv6.OptionS46ContLW) && t.pool.Mechanism != ByNone {
			s.offerSoftwire(ctx, q, d, &t)
		}
	}
	t.add(q.asked, to)
	if p := s.config.Preference; p > 0 {
		to.AddOption(dhcpv6.OptPreference(uint8(p)))
	}
	return nil
}

// offer has a prefix kept for each IA_PD for a while.
func (s *Server) offer(q question, have []delegation.Delegation) []result {
	pools := s.pools(q.at)
	fresh := 0
	var results []result
	for i, ia := range q.ias {
		if slices.ContainsFunc(q.ias[:i], func(before association) bool { return before.id == ia.id }) {
			continue
		}
		r := result{id: ia.id}
		d, err := s.keeper.Offer(s.query(q, ia, pools))
		if err == nil {
			r.d, r.pool = d, poolOf(pools, d.Pool)
			if !slices.ContainsFunc(have, r.replaces) {
				fresh++
			}
		}
		if err != nil || len(have)+fresh > r.pool.Quota && fresh > 0 {
			// "the server MUST include the IA_PD option [...] with no prefixes".
			s.counts.add(noPrefix)
			r = result{id: ia.id, status: iana.StatusNoPrefixAvail}
		}
		results = append(results, r)
	}
	return results
}

// offerSoftwire says what softwire would go with d. If that is not to be had in
// time the client learns it from the Reply.
func (s *Server) offerSoftwire(ctx context.Context, q question, d delegation.Delegation, t *told) {
	ctx = s.patient.within(ctx)
	w := s.want(q, d, t.pool)
	offer := s.softwires.Offer
	if t.pool.Mechanism != ByDHCPv6 {
		offer = s.foreign
	}
	g, err := offer(ctx, w)
	switch {
	case err == nil:
		t.softwire, t.prefix = g.Softwire, d.Prefix
	case d.Provisioned(s.keeper.Now()):
		t.softwire, t.prefix = d.Softwire, d.Prefix
	}
}
