package topology

import (
	"context"
	"fmt"
	"net/netip"
)

// AddPool leads a pool's packets to the MAP plugin. The pool must have a
// domain, or VPP does not know what to do with them.
func (t *Topology) AddPool(ctx context.Context, pool netip.Prefix) error {
	v := newVPP(ctx, t.conn)
	path := into(t.loops[hairpin])
	if !t.config.Hairpin {
		path = dropped()
	}
	v.ensureRoute(t.config.table(tableInside), pool, path)
	v.ensureRoute(t.config.IPv4Table, pool, into(t.loops[encap]))
	return v.err
}

// RemovePool ends what AddPool did. Packets of the pool may be on their way for
// as long as VPP holds fragments.
func (t *Topology) RemovePool(ctx context.Context, pool netip.Prefix) error {
	v := newVPP(ctx, t.conn)
	v.route(false, t.config.IPv4Table, pool, into(t.loops[encap]))
	v.route(false, t.config.table(tableInside), pool, dropped()) // all paths go
	return v.err
}

// BRs are the BR addresses that are there.
func (t *Topology) BRs() []netip.Addr {
	var all []netip.Addr
	for br := range t.brs {
		all = append(all, br)
	}
	return all
}

// AddBR makes what VPP needs to be the end of the tunnels to a BR address.
// Packets come to it after LeadBR; before that, Steer has to make known which
// addresses are not its own.
func (t *Topology) AddBR(ctx context.Context, br netip.Addr) error {
	if t.brs[br] != nil {
		return nil
	}
	c := t.config
	v := newVPP(ctx, t.conn)
	l := &brLoop{foreign: none}
	l.index = v.loopback(c.tag(decapNew)+":"+br.String(), c.table(tableInside), c.table(tableBR))
	v.address(l.index, br)
	v.reassemble(l.index, true)
	v.apply(l.index, true, t.tables.first)
	v.do("tag", func() error { return v.setTag(l.index, c.tag(decap)+":"+br.String()) })
	if v.err != nil {
		return fmt.Errorf("BR address %s: %w", br, v.err)
	}
	t.brs[br] = l
	t.explain()
	return nil
}

// LeadBR leads the packets for a BR address to where they are decapsulated.
func (t *Topology) LeadBR(ctx context.Context, br netip.Addr) error {
	l := t.brs[br]
	if l == nil {
		return fmt.Errorf("BR address %s is not there", br)
	}
	v := newVPP(ctx, t.conn)
	v.ensureRoute(t.config.IPv6Table, netip.PrefixFrom(br, 128), into(l.index))
	return v.err
}

// RemoveBR ends what AddBR did.
func (t *Topology) RemoveBR(ctx context.Context, br netip.Addr) error {
	l := t.brs[br]
	if l == nil {
		return nil
	}
	v := newVPP(ctx, t.conn)
	v.route(false, t.config.IPv6Table, netip.PrefixFrom(br, 128), into(l.index))
	head := t.tables.first
	if l.foreign != none {
		head = l.foreign
	}
	v.unapply(l.index, true, head)
	v.passFragments(l.index, true)
	v.deleteLoopback(listed{index: l.index, tag: br.String()})
	if l.foreign != none {
		v.deleteTableIndex(l.foreign)
	}
	if v.err != nil {
		return fmt.Errorf("BR address %s: %w", br, v.err)
	}
	delete(t.brs, br)
	t.explain()
	return nil
}
