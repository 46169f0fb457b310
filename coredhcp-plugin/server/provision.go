package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/lwaftr/lw4o6/coredhcp-plugin/delegation"
	"github.com/lwaftr/lw4o6/plugin/store"
)

// provision gets the client its softwire, if it asks for one, and says what it is
// told. soon says that it should ask again soon.
func (s *Server) provision(ctx context.Context, session *delegation.Session, q question, results []result) (t told, soon bool) {
	t.pool = s.first(q)
	d, renewed := carrier(session.Held(), results)
	if d.State != delegation.Bound {
		return t, false
	}
	if p := s.poolWith(q, d); p != nil {
		t.pool = p
	}
	now := s.keeper.Now()
	if !slices.Contains(q.asked, dhcpv6.OptionS46ContLW) || t.pool.Mechanism == ByNone {
		return t, false
	}
	if !renewed {
		// The prefix that its softwire goes with is not what this is about.
		if d.Provisioned(now) {
			t.softwire, t.prefix = d.Softwire, d.Prefix
		}
		return t, false
	}
	g, err := s.acquire(ctx, session, q, d, t.pool)
	switch {
	case err == nil:
		session.Provision(d.Prefix, g.Softwire, g.Expires)
		t.softwire, t.prefix, t.until = g.Softwire, d.Prefix, g.Expires
		s.counts.add(provisioned)
	case errors.Is(err, ErrNone):
		session.Disown(d.Prefix)
		if t.pool.Mechanism == ByDHCPv6 {
			s.warn(exhausted, q, err)
		}
	default:
		s.warn(withheld, q, err)
		// What is known of it holds for as long as its source has promised.
		if left := d.SoftwireExpires.Sub(now); d.Provisioned(now) && (d.SoftwireExpires.IsZero() || left >= 2*s.config.Retry) {
			t.softwire, t.prefix, t.until = d.Softwire, d.Prefix, d.SoftwireExpires
		}
		return t, t.pool.Mechanism == ByDHCPv6
	}
	return t, false
}

// limit has the prefix that the softwire goes with last no longer (RFC 7596 section
// 5.1: "the lifetime of the softwire and the derived configuration information [...]
// are bound to the lifetime of the DHCPv6 lease").
func (t told) limit(session *delegation.Session, results []result) {
	if t.until.IsZero() {
		return
	}
	session.Limit(t.prefix, t.until)
	for i := range results {
		if results[i].d.Prefix == t.prefix {
			results[i].until = t.until
		}
	}
}

// carrier is the delegation that the client's softwire goes with: the one that has
// it already, or else the first that is granted. renewed says that it is one of
// results.
func carrier(have []delegation.Delegation, results []result) (d delegation.Delegation, renewed bool) {
	for _, r := range results {
		if r.d.State == delegation.Bound && (d.State == 0 || r.d.Owing && !d.Owing) {
			d, renewed = r.d, true
		}
	}
	for _, other := range have {
		if other.Owing && !d.Owing {
			d, renewed = other, false
		}
	}
	return d, renewed
}

// poolWith is the pool of a delegation.
func (s *Server) poolWith(q question, d delegation.Delegation) *Pool {
	if s.config.Follow {
		return s.holder(q.at, d.Prefix)
	}
	for i := range s.config.Pools {
		if p := &s.config.Pools[i]; p.Name == d.Pool {
			return p
		}
	}
	return nil
}

// acquire asks for the softwire that goes with d, for as long as a client is made
// to wait.
func (s *Server) acquire(ctx context.Context, session *delegation.Session, q question, d delegation.Delegation, p *Pool) (Grant, error) {
	ctx = s.patient.within(ctx)
	w := s.want(q, d, p)
	if p.Mechanism != ByDHCPv6 {
		return s.foreign(ctx, w)
	}
	prefix := d.Prefix
	session.Owe(prefix)
	undo := func() {}
	w.Along = func(g Grant) ([]store.Value, func(error)) {
		undo = session.Provision(prefix, g.Softwire, g.Expires)
		return session.Pending()
	}
	g, err := s.softwires.Acquire(ctx, w)
	if err != nil {
		// It may be durable, and is not programmed: nobody is to be told of it.
		undo()
	}
	return g, err
}

// foreign is the softwire of a subscriber whose pool does not provide any by
// DHCPv6, if it came another way.
func (s *Server) foreign(ctx context.Context, w Want) (Grant, error) {
	g, err := s.softwires.Offer(ctx, w)
	if err == nil && !g.Foreign {
		err = ErrNone
	}
	return g, err
}

func (s *Server) want(q question, d delegation.Delegation, p *Pool) Want {
	return Want{
		Prefix: d.Prefix, Pool: p.SoftwirePool, Last: d.Softwire,
		Lifetime: max(d.Expires.Sub(s.keeper.Now()).Round(time.Second), time.Second),
		DUID:     q.duid, InterfaceID: q.at.interfaceID, RemoteID: q.at.remoteID,
	}
}
