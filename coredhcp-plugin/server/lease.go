package server

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/delegation"
)

// result is what becomes of one IA_PD.
type result struct {
	id uint32
	// d is what the client has; without a State it has nothing.
	d    delegation.Delegation
	pool *Pool // of d
	// until is when the client is to have d no longer, though it may have been told
	// more before; zero if that is when d expires.
	until time.Time
	// gone are prefixes that the client is not to use any more.
	gone []netip.Prefix
	// status, if it is not success, is why it has nothing.
	status iana.StatusCode
}

// replaces says whether a client with r does not have d besides: it is the same
// prefix, or the IA_PD has another one now.
func (r result) replaces(d delegation.Delegation) bool {
	return r.d.State == delegation.Bound && (r.d.Prefix == d.Prefix || r.id == d.IAID)
}

// lease answers a message that asks for prefixes: durable first, then told (RFC
// 8415 sections 18.3.1, 18.3.2, 18.3.4 and 18.3.5).
func (s *Server) lease(ctx context.Context, q question, to *dhcpv6.Message) error {
	session, err := s.keeper.Session(ctx, q.who.Client)
	if err != nil {
		return err
	}
	defer session.Close()
	var results []result
	if s.config.Follow {
		results, err = s.adopt(session, q, to)
	} else {
		results, err = s.delegate(session, q)
	}
	if err != nil {
		return err
	}
	// RFC 8415 section 18.3.5: no answer to a Rebind if there is nothing to say.
	if q.kind == dhcpv6.MessageTypeRebind && len(results) == 0 && len(q.ias) > 0 && !q.addresses {
		return errSilence
	}
	t, soon := s.provision(ctx, session, q, results)
	t.limit(session, results)
	if err := session.Commit(ctx); err != nil {
		if !held(session, results) {
			return err
		}
		// What the client has goes on, as far as that is durable.
		s.warn(failed, q, err)
	}
	refresh(session, results)
	s.render(to, results, soon)
	t.add(q.asked, to)
	return nil
}

// delegate has each IA_PD of q decided.
func (s *Server) delegate(session *delegation.Session, q question) ([]result, error) {
	pools := s.pools(q.at)
	var results []result
	for i, ia := range q.ias {
		if slices.ContainsFunc(q.ias[:i], func(before association) bool { return before.id == ia.id }) {
			continue
		}
		d, err := session.Grant(s.query(q, ia, pools))
		r := result{id: ia.id, d: d}
		switch {
		case err == nil:
			r.pool = poolOf(pools, d.Pool)
			// RFC 8415 section 18.3.4: those "not appropriate for the link", too, when the
			// client has moved and has another one now. A Request only has wishes.
			if renewing(q.kind) {
				r.gone = ia.others(d.Prefix)
			}
		case errors.Is(err, delegation.ErrUnknown):
			if !s.unbound(q, ia, pools, &r) {
				continue
			}
		case errors.Is(err, delegation.ErrExhausted), errors.Is(err, delegation.ErrQuota):
			s.warn(noPrefix, q, err)
			if renewing(q.kind) {
				r.gone = withdraw(session, ia)
			} else {
				r.status = iana.StatusNoPrefixAvail
			}
		default:
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}

// query asks for the prefix of an IA_PD.
func (s *Server) query(q question, ia association, pools []*Pool) delegation.Query {
	ask := delegation.Query{Holder: q.who, Want: ia.wish(), Renewing: renewing(q.kind)}
	ask.IAID = ia.id
	for _, p := range pools {
		ask.Pools = append(ask.Pools, p.Name)
	}
	return ask
}

// renewing says whether a message is about what the client has.
func renewing(kind dhcpv6.MessageType) bool {
	return kind == dhcpv6.MessageTypeRenew || kind == dhcpv6.MessageTypeRebind
}

// wish is the first prefix of an IA_PD, or else the first length (RFC 8168 section
// 3.2).
func (a association) wish() netip.Prefix {
	var length netip.Prefix
	for _, p := range a.prefixes {
		switch {
		case !p.Addr().IsUnspecified():
			return p
		case !length.IsValid():
			length = p
		}
	}
	return length
}

// others are the prefixes of an IA_PD but one.
func (a association) others(than netip.Prefix) []netip.Prefix {
	var others []netip.Prefix
	for _, p := range a.prefixes {
		if p != than && !p.Addr().IsUnspecified() {
			others = append(others, p)
		}
	}
	return others
}

// withdraw ends what the client had in an IA_PD at another link, where there is
// nothing for it at this one, and returns what it is not to use any more.
func withdraw(session *delegation.Session, ia association) []netip.Prefix {
	for _, d := range session.Held() {
		if d.IAID == ia.id {
			_ = session.Withdraw(ia.id, d.Prefix) // it holds that
		}
	}
	return ia.others(netip.Prefix{})
}

// unbound is what becomes of an IA_PD that is to be renewed, and that the client
// does not have. It reports false if nothing is said about it.
func (s *Server) unbound(q question, ia association, pools []*Pool, r *result) bool {
	ours := slices.ContainsFunc(ia.prefixes, func(prefix netip.Prefix) bool {
		return slices.ContainsFunc(pools, func(p *Pool) bool { return p.holds(prefix) })
	})
	// Another server may have delegated what this one does not know.
	if q.kind == dhcpv6.MessageTypeRebind && !ours {
		return false
	}
	s.counts.add(noBinding)
	r.status = iana.StatusNoBinding
	return true
}

func poolOf(pools []*Pool, name string) *Pool {
	for _, p := range pools {
		if p.Name == name {
			return p
		}
	}
	return &Pool{}
}

// held says whether the client has everything of results.
func held(session *delegation.Session, results []result) bool {
	have := session.Held()
	for _, r := range results {
		if r.d.State == delegation.Bound && !slices.ContainsFunc(have, func(d delegation.Delegation) bool { return d.Prefix == r.d.Prefix }) {
			return false
		}
	}
	return true
}

// refresh makes results what the client has now.
func refresh(session *delegation.Session, results []result) {
	for _, d := range session.Held() {
		for i := range results {
			if results[i].d.Prefix == d.Prefix {
				results[i].d = d
			}
		}
	}
}
