package source

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/lwaftr/lw4o6/pcp/client"
	"github.com/lwaftr/lw4o6/pcp/pcpmsg"
	"github.com/lwaftr/lw4o6/plugin/config/element"
	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// PCPConfig is a lwAFTR that offers no more than PCP, and the pools that are lent
// from here: nobody else lends them.
type PCPConfig struct {
	// Server is the address of its PCP server, which takes THIRD_PARTY from Address;
	// without Address from the one that the host sends from.
	Server  netip.Addr `yaml:"server" config:"required"`
	Address netip.Addr `yaml:"address"`
	Pools   pool.Pools `yaml:"pools" config:"required"`
}

// Validate reports what is wrong with c.
func (c PCPConfig) Validate() error {
	errs := []error{element.At("pools", c.Pools.Validate())}
	if !c.Server.Is6() || c.Server.IsUnspecified() || c.Server.IsMulticast() {
		errs = append(errs, element.Errorf("server", "%s is not the IPv6 address of a server", c.Server))
	}
	if c.Address.IsValid() && !c.Address.Is6() {
		errs = append(errs, element.Errorf("address", "%s is not an IPv6 address", c.Address))
	}
	for i, p := range c.Pools {
		at := element.Item("pools", i)
		if !p.Allows(pool.DHCPv6) {
			errs = append(errs, element.Errorf(element.Join(at, "mechanisms"), "must name %s", pool.DHCPv6))
		}
		// RFC 7753 has no way to tell a set of several blocks, or of all 65536 ports.
		if p.PSIDOffset != 0 || p.PSIDLen == 0 {
			errs = append(errs, element.Errorf(element.Join(at, "psid-len"), "PCP lends one block of an address: want psid-offset 0 and psid-len 1 or more"))
		}
	}
	return errors.Join(errs...)
}

// Mapper asks a PCP server; *client.Client is one.
type Mapper interface {
	Request(ctx context.Context, want client.Want) (client.Grant, error)
	Delete(ctx context.Context, want client.Want) error
}

// PCP is a Lender of the port sets of a lwAFTR that is told by PCP: it decides, and
// suggests exactly one port set.
type PCP struct {
	mapper Mapper
	secret []byte
	now    func() time.Time
	book   *lease.Book
	// strange is how many port sets the lwAFTR has given to others.
	strange atomic.Uint32
}

var _ Lender = (*PCP)(nil)

// NewPCP returns a Lender of pools. Nonces are made of secret, which stays the same
// over restarts. now is time.Now but in tests.
func NewPCP(pools pool.Pools, mapper Mapper, secret []byte, now func() time.Time) (*PCP, error) {
	p := &PCP{mapper: mapper, secret: secret, now: now, book: lease.NewBook()}
	return p, p.book.Configure(pools, softwire.Change{}, now())
}

// Restore takes in a softwire that the subscriber of a prefix has until expires, or
// has given back and that rests until then. Errors are those of lease.Book.
func (p *PCP) Restore(prefix netip.Prefix, s softwire.Softwire, bound bool, until time.Time) error {
	for _, def := range p.book.Pools() {
		l := lease.Lease{
			Softwire: s, Subscriber: def.Subscriber(prefix.Addr()), Pool: def.Name, Mechanism: pool.DHCPv6,
			State: lease.Resting, Until: until,
		}
		if bound {
			l.State, l.Until, l.Expires, l.Horizon = lease.Bound, time.Time{}, until, until
		}
		for _, of := range def.Prefixes {
			if of.Contains(s.IPv4) {
				return p.book.Restore(l, p.now())
			}
		}
	}
	return nil
}

// Offer is as Lender.Offer.
func (p *PCP) Offer(_ context.Context, q lease.Request) (lease.Lease, error) {
	return p.book.Offer(q, p.now())
}

// Acquire is as Lender.Acquire.
func (p *PCP) Acquire(ctx context.Context, q lease.Request) (lease.Lease, error) {
	p.expire()
	g, err := p.book.Acquire(q, p.now())
	if err != nil {
		return lease.Lease{}, err
	}
	want := p.want(g.Beyond)
	granted, err := p.mapper.Request(ctx, want)
	if err != nil {
		// Without an answer the lwAFTR may have it: the port set stays with its subscriber.
		if refused := new(client.ResultError); errors.As(err, refused) && g.Kind == lease.New {
			p.book.Undo(g)
		}
		return lease.Lease{}, err
	}
	set, err := granted.PortSet()
	if err != nil || granted.External != g.Lease.Softwire.IPv4 || set != g.Lease.Softwire.PortSet {
		return lease.Lease{}, errors.Join(
			fmt.Errorf("the lwAFTR gave %s port %d and not %s: somebody else lends its pools", granted.External, granted.ExternalPort, g.Lease.Key()),
			p.mapper.Delete(ctx, want), p.avoid(g))
	}
	p.book.Extend(g.Beyond)
	l := g.Beyond
	if end := p.now().Add(granted.Lifetime); end.Before(l.Expires) {
		l.Expires = end
	}
	return l, nil
}

// avoidTime is how long a port set is left alone that the lwAFTR has given to
// somebody else.
const avoidTime = 10 * time.Minute

// avoid takes back a grant, and lends its port set to nobody for a while.
func (p *PCP) avoid(g lease.Grant) error {
	l := g.Beyond
	nobody := [16]byte{0: 0xfd, 15: 1}
	binary.BigEndian.PutUint32(nobody[2:], p.strange.Add(1)) // a subscriber of its own
	if g.Kind == lease.New {
		p.book.Undo(g)
	} else if err := p.end(l); err != nil {
		return err
	}
	_, err := p.book.Acquire(lease.Request{
		B4: netip.AddrFrom16(nobody), Mechanism: pool.DHCPv6, Pool: l.Pool, Want: l.Key(), Lifetime: avoidTime,
	}, p.now())
	return err
}

// Release is as Lender.Release.
func (p *PCP) Release(ctx context.Context, q lease.Request) error {
	l, _, err := p.book.Held(q)
	if err != nil || l.State != lease.Bound {
		return err
	}
	if err := p.mapper.Delete(ctx, p.want(l)); err != nil {
		return err
	}
	return p.end(l)
}

// end begins the hold-down of a lease that the lwAFTR does not have.
func (p *PCP) end(l lease.Lease) error {
	left, err := p.book.Leave(l.Key())
	if err != nil {
		return err
	}
	return p.book.Rest(p.book.Rested(left, p.now()))
}

// expiredAtOnce bounds the work of one expire.
const expiredAtOnce = 64

// expire lets what has expired rest; the lwAFTR has let go of it by itself.
func (p *PCP) expire() {
	now := p.now()
	for _, l := range p.book.Expire(now, expiredAtOnce) {
		// It is leaving, and nobody else ends it.
		_ = p.book.Rest(p.book.Rested(l, now))
	}
}

// want is the mapping of a lease.
func (p *PCP) want(l lease.Lease) client.Want {
	w := client.Want{
		InternalPort: 1, Ports: pcpmsg.AllPorts, ThirdParty: l.Softwire.B4,
		Lifetime: max(l.Expires.Sub(p.now()).Round(time.Second), time.Second),
	}
	for first := range l.Softwire.PortSet.Ranges() {
		w.Suggested = netip.AddrPortFrom(l.Softwire.IPv4, first.First)
		break
	}
	b4 := l.Softwire.B4.As16()
	mac := hmac.New(sha256.New, p.secret)
	mac.Write(b4[:])
	copy(w.Nonce[:], mac.Sum(nil))
	return w
}
