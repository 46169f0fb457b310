package topology

import (
	"context"
	"fmt"
	"net/netip"

	"go.fd.io/govpp/binapi/ip"

	"github.com/lwaftr/lw4o6/vppdrv/plan"
)

// Steer makes what VPP knows of single addresses what it is to be for a model:
// after a restart of the control logic, and after a BR address came or went.
// It only reads when all is well.
func (t *Topology) Steer(ctx context.Context, m *plan.Model) error {
	offsets, wholes := needs(m)
	if err := t.Prepare(ctx, wholes, offsets); err != nil {
		return err
	}
	v := newVPP(ctx, t.conn)
	t.endDetours(v)
	t.separate(v)
	want, routes := t.wanted(m)
	for index := range t.perAddress() {
		t.steerTable(v, index, want[index])
	}
	t.steerRoutes(v, routes)
	return v.err
}

func needs(m *plan.Model) (offsets []uint8, wholes bool) {
	seen := make(map[uint8]bool)
	for s := range m.Softwires {
		wholes = wholes || s.PortSet.Whole()
		if a := s.PortSet.Params().Offset(); a > 0 && !seen[a] {
			seen[a] = true
			offsets = append(offsets, a)
		}
	}
	return offsets, wholes
}

// perAddress yields the tables that have sessions of single addresses.
func (t *Topology) perAddress() func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		all := []uint32{t.tables.whole}
		for _, l := range t.brs {
			all = append(all, l.foreign)
		}
		for _, tables := range t.tables.excluded {
			all = append(all, tables[:]...)
		}
		for _, index := range all {
			if index != none && !yield(index) {
				return
			}
		}
	}
}

// keyed are sessions by what VPP compares.
type keyed map[string]session

func (k keyed) add(s session) {
	skip, _ := s.fields.span()
	k[string(s.fields.match()[skip*vector:])] = s
}

// wanted are the sessions of each table, and the routes, for a model.
func (t *Topology) wanted(m *plan.Model) (map[uint32]keyed, map[netip.Prefix]bool) {
	want, routes := make(map[uint32]keyed), make(map[netip.Prefix]bool)
	for index := range t.perAddress() {
		want[index] = make(keyed)
	}
	done := make(map[netip.Addr]bool)
	for s := range m.Softwires {
		if !s.B4.IsValid() {
			continue
		}
		if s.PortSet.Whole() {
			want[t.tables.whole].add(wholeSession(t.gates, s.IPv4, s.B4, s.BR))
			routes[netip.PrefixFrom(s.IPv4, 32)] = true
		}
		if done[s.IPv4] {
			continue
		}
		done[s.IPv4] = true
		for index, sessions := range t.refusals(s.IPv4, s.BR, s.PortSet.Params().Offset()) {
			for _, refusal := range sessions {
				want[index].add(refusal)
			}
		}
	}
	return want, routes
}

// steerTable makes the sessions of a table those that are wanted.
func (t *Topology) steerTable(v *vpp, index uint32, want keyed) {
	var surplus [][]byte
	for _, key := range v.sessions(index) {
		if _, wanted := want[string(key)]; wanted {
			delete(want, string(key))
		} else {
			surplus = append(surplus, key)
		}
	}
	v.deleteSessions(index, surplus)
	var missing []session
	for _, s := range want {
		missing = append(missing, s)
	}
	v.addSessions(index, missing)
}

// steerRoutes makes the routes of whole addresses those that are wanted.
func (t *Topology) steerRoutes(v *vpp, want map[netip.Prefix]bool) {
	table := t.config.table(tableNoPorts)
	for _, p := range v.hostRoutes(table) {
		if !want[p] {
			v.route(false, table, p, into(t.loops[whole]))
		}
		delete(want, p)
	}
	for p := range want {
		v.route(true, table, p, into(t.loops[whole]))
	}
}

// hostRoutes are the IPv4 host routes of a table that we made, which VPP does
// not show apart from its own: those with a path like ours.
func (v *vpp) hostRoutes(table uint32) (all []netip.Prefix) {
	v.do(fmt.Sprintf("reading table %d", table), func() error {
		dump, err := v.ip.IPRouteDump(v.ctx, &ip.IPRouteDump{Table: ip.IPTable{TableID: table}})
		return each(dump, err, func(d *ip.IPRouteDetails) {
			r := d.Route
			if r.Prefix.Len == 32 && len(r.Paths) == 1 && r.Paths[0].Type == pathInto {
				all = append(all, netip.PrefixFrom(netip.AddrFrom4(r.Prefix.Address.Un.GetIP4()), 32))
			}
		})
	})
	return all
}
