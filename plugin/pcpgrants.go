package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/pcp"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/provision"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// pcpGrants is the leases as the PCP server wants them.
type pcpGrants struct {
	leases *provision.Provisioner
	pools  func() pool.Pools
	now    func() time.Time
}

var _ pcp.Grants = pcpGrants{}

// Held is as pcp.Grants.Held. A lease that has expired is not held, though it may
// be there for a moment yet.
func (g pcpGrants) Held(lwb4 netip.Addr) []pcp.Binding {
	var held []pcp.Binding
	now := g.now()
	for _, l := range g.leases.Subscriber(lwb4) {
		if l.State == lease.Bound && !l.Moved && (l.Expires.IsZero() || l.Expires.After(now)) {
			held = append(held, pcpBinding(l))
		}
	}
	slices.SortFunc(held, func(a, b pcp.Binding) int { return cmp.Compare(a.Number, b.Number) })
	return held
}

func pcpBinding(l provision.Lease) pcp.Binding {
	b := pcp.Binding{
		Number:  l.Number,
		LwB4:    l.Softwire.B4,
		IPv4:    l.Softwire.IPv4,
		PortSet: l.Softwire.PortSet,
		Static:  l.Configured || l.Mechanism != pool.PCP,
		Expires: l.Expires,
	}
	nonce, _ := l.Attributes.Get(lease.Nonce)
	b.Known = copy(b.Nonce[:], nonce) == len(b.Nonce)
	b.Description, _ = l.Attributes.Get(lease.Comment)
	b.Contact, _ = l.Attributes.Get(lease.Contact)
	return b
}

// Extend is as pcp.Grants.Extend.
func (g pcpGrants) Extend(want pcp.Want) (pcp.Binding, bool) {
	q, err := leaseRequest(want)
	if err != nil {
		return pcp.Binding{}, false
	}
	l, ok := g.leases.Extend(q)
	return pcpBinding(l), ok
}

// Acquire is as pcp.Grants.Acquire.
func (g pcpGrants) Acquire(ctx context.Context, want pcp.Want) (pcp.Binding, error) {
	q, err := leaseRequest(want)
	if err != nil {
		return pcp.Binding{}, err
	}
	if want.Held != nil {
		l, err := g.leases.Acquire(ctx, q)
		return pcpBinding(l), pcpError(err)
	}
	candidates, err := g.candidates(want)
	for _, params := range candidates {
		var b pcp.Binding
		if b, err = g.acquireFrom(ctx, q, want, params); !errors.Is(err, pcp.ErrExhausted) && !errors.Is(err, pcp.ErrRange) {
			return b, err
		}
	}
	return pcp.Binding{}, err
}

// leaseRequest is what both a new and a known subscriber ask for.
func leaseRequest(want pcp.Want) (provision.Request, error) {
	attributes, err := lease.Attributes("").With(lease.Nonce, string(want.Nonce[:]))
	if err == nil && want.Description != "" {
		attributes, err = attributes.With(lease.Comment, want.Description)
	}
	if err == nil && want.Contact != "" {
		attributes, err = attributes.With(lease.Contact, want.Contact)
	}
	return provision.Request{
		B4: want.LwB4, Mechanism: pool.PCP, Number: want.Number, Lifetime: want.Lifetime, Attributes: attributes,
	}, err
}

// candidates are the sizes of port sets that may do, in the order of the pools,
// each once. The error, if there is none, wraps pcp.ErrRange if all sets are too
// large, otherwise pcp.ErrNotLent.
func (g pcpGrants) candidates(want pcp.Want) (candidates []portset.Params, err error) {
	err = pcp.ErrNotLent
	for _, p := range g.pools() {
		params, bad := p.Params()
		if bad != nil || !p.Allows(pool.PCP) || want.Whole && !params.Whole() {
			continue
		}
		if !params.Whole() && params.SetSize() > int(want.Within.Last)-int(want.Within.First)+1 {
			err = pcp.ErrRange
			continue
		}
		// A whole address is more than PORT_SET can ask for: who asks for all that it
		// can means that.
		if params.Whole() && (want.Within.First > 1 || want.Within.Last != 0xffff) {
			err = pcp.ErrRange
			continue
		}
		if !slices.Contains(candidates, params) {
			candidates = append(candidates, params)
		}
	}
	return candidates, err
}

// acquireFrom acquires a port set of one size.
func (g pcpGrants) acquireFrom(ctx context.Context, q provision.Request, want pcp.Want, params portset.Params) (pcp.Binding, error) {
	q.Ports = params.SetSize()
	q.Want = suggested(want, params)
	if !params.Whole() {
		q.Within = want.Within
	}
	if want.Only {
		if l, err := g.leases.Offer(q); err != nil {
			return pcp.Binding{}, pcpError(err)
		} else if !isSuggested(want, l) {
			return pcp.Binding{}, pcp.ErrSuggestion
		}
	}
	l, err := g.leases.Acquire(ctx, q)
	if err != nil {
		return pcp.Binding{}, pcpError(err)
	}
	// Somebody else may have got what was offered.
	if want.Only && !isSuggested(want, l) {
		return pcp.Binding{}, errors.Join(pcp.ErrSuggestion, g.Release(ctx, want.LwB4, want.Number))
	}
	return pcpBinding(l), nil
}

// suggested is the port set that is wished for.
func suggested(want pcp.Want, params portset.Params) softwire.Key {
	key := softwire.Key{IPv4: want.Suggested.Addr()}
	if !key.IPv4.Is4() || key.IPv4.IsUnspecified() {
		return softwire.Key{}
	}
	if psid, ok := params.PSID(want.Suggested.Port()); ok && want.Suggested.Port() != 0 {
		key.PortSet, _ = portset.New(params, psid) // a PSID of these parameters
	}
	return key
}

func isSuggested(want pcp.Want, l provision.Lease) bool {
	return l.Softwire.IPv4 == want.Suggested.Addr() && l.Softwire.PortSet.Contains(want.Suggested.Port())
}

// Release is as pcp.Grants.Release.
func (g pcpGrants) Release(ctx context.Context, lwb4 netip.Addr, number uint8) error {
	err := g.leases.Release(ctx, provision.Request{B4: lwb4, Mechanism: pool.PCP, Number: number})
	if errors.Is(err, provision.ErrUnknown) {
		return nil
	}
	return pcpError(err)
}

// pcpError is err as one of pcp.Grants. What is not decided yet stays what it is:
// it is not answered, and the same request gets the same lease later.
func pcpError(err error) error {
	for _, e := range []struct{ from, to error }{
		{provision.ErrExhausted, pcp.ErrExhausted},
		{provision.ErrQuota, pcp.ErrQuota},
		{provision.ErrMechanism, pcp.ErrNotLent},
		{provision.ErrPool, pcp.ErrNotLent},
		{provision.ErrInvalid, pcp.ErrLwB4},
		{provision.ErrStorage, pcp.ErrUnavailable},
	} {
		if errors.Is(err, e.from) {
			return fmt.Errorf("%w: %w", e.to, err)
		}
	}
	return err
}
