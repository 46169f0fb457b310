package pcp

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/portset"
)

// plan is what to do about a MAP that is well-formed: the bindings that it is
// about, each of which is told, extended or released; and if it is about none,
// the port set to ask for.
type plan struct {
	told     []Binding // static ones
	touched  []Binding // others
	acquired []Want
	released []uint8
}

// refusal is a fault with a lifetime of its own.
type refusal struct {
	pcpmsg.Fault
	lifetime time.Duration
}

// decide makes the plan for a request of somebody who holds some bindings. The
// error is a *pcpmsg.Fault or a *refusal.
func decide(a *ask, held []Binding, now time.Time) (plan, error) {
	var p plan
	own := a.ownOf(held)
	for i, b := range own {
		// RFC 7753 section 4.4.1: a request that touches the ports of a mapping "is
		// considered to be a refresh request applying [to] those mappings".
		if !b.PortSet.OverlapsRange(a.within) {
			continue
		}
		if err := a.mayTouch(b, now); err != nil {
			return plan{}, err
		}
		if b.Static {
			p.told = append(p.told, b)
			continue
		}
		p.touched = append(p.touched, b)
		if a.Lifetime == 0 {
			p.released = append(p.released, b.Number)
		} else {
			w := a.want(b.Number, allPorts)
			w.Held = &own[i]
			if !a.described {
				w.Description = b.Description
			}
			p.acquired = append(p.acquired, w)
		}
	}
	if a.Lifetime > 0 && len(p.told)+len(p.touched) == 0 {
		p.acquired = []Want{a.want(freeNumber(held), a.within)}
	}
	return p, nil
}

// ownOf leaves out static bindings of other lwB4s of the subscriber if this one
// has some itself.
func (a *ask) ownOf(held []Binding) []Binding {
	others := func(b Binding) bool { return b.Static && b.LwB4 != a.lwb4 }
	if !slices.ContainsFunc(held, func(b Binding) bool { return b.Static && !others(b) }) {
		return held
	}
	return slices.DeleteFunc(slices.Clone(held), others)
}

// allPorts are those that a binding may have that is there already.
var allPorts = portset.Range{First: 0, Last: 0xffff}

// freeNumber is the lowest number that no binding has.
func freeNumber(held []Binding) (n uint8) {
	for slices.ContainsFunc(held, func(b Binding) bool { return b.Number == n }) {
		n++
	}
	return n
}

// mayTouch says whether the request may change a binding, or be told of it.
func (a *ask) mayTouch(b Binding, now time.Time) error {
	switch {
	// RFC 6887 section 15.1: to delete a static mapping is NOT_AUTHORIZED.
	case b.Static && a.Lifetime == 0:
		return fault(pcpmsg.NotAuthorized, "a static mapping cannot be deleted")
	// RFC 6887 section 11.3: another nonce is refused "with the lifetime of the
	// error indicating duration of that existing mapping". A deletion is not what a
	// CPE sends that forgot its nonce.
	case !b.Static && b.Known && b.Nonce != a.Mapping.Nonce && (a.strict || a.Lifetime == 0):
		return &refusal{pcpmsg.Fault{Result: pcpmsg.NotAuthorized, Reason: "another nonce"}, remaining(b, now)}
	// RFC 6887 section 11.3: all ports of all protocols, or none.
	case a.whole() && a.Lifetime > 0 && !b.PortSet.Whole():
		return fault(pcpmsg.UnsuppProtocol, "the subscriber shares an address")
	// RFC 6887 section 11.3, item 1.
	case a.preferFailure && (a.Mapping.External != b.IPv4 || !b.PortSet.Contains(a.Mapping.ExternalPort)):
		return fault(pcpmsg.CannotProvideExternal, "the mapping has another address or port")
	}
	return nil
}

// whole says whether all ports of all protocols are asked for.
func (a *ask) whole() bool { return !a.set && a.Mapping.Protocol == 0 }

func (a *ask) want(number uint8, within portset.Range) Want {
	return Want{
		LwB4: a.lwb4, Number: number, Nonce: a.Mapping.Nonce, Within: within, Whole: a.whole(),
		Suggested: netip.AddrPortFrom(a.Mapping.External, a.Mapping.ExternalPort),
		Only:      a.preferFailure, Lifetime: time.Duration(a.Lifetime) * time.Second, Description: a.description,
	}
}

// remaining is how long a binding lasts; a static one lasts for ever (RFC 6887
// section 11.3, item 2).
func remaining(b Binding, now time.Time) time.Duration {
	if b.Static || b.Expires.IsZero() {
		return forever
	}
	return max(b.Expires.Sub(now), 0)
}

// forever is the longest lifetime there is.
const forever = (1<<32 - 1) * time.Second
