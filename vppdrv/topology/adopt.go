package topology

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"go.fd.io/govpp/api"
	"go.fd.io/govpp/binapi/vlib"
)

// ErrNotFound reports that VPP has no complete topology for a Config.
var ErrNotFound = errors.New("no topology of ours in VPP")

// Adopt finds the topology that an earlier Build made for the same Config, and
// changes nothing of it. The error wraps ErrNotFound if there is none.
func Adopt(ctx context.Context, conn api.Connection, c Config) (*Topology, error) {
	t := &Topology{
		config: c, conn: conn, loops: make(map[role]Index), brs: make(map[netip.Addr]*brLoop),
		tables: decapIndexes{whole: none, excluded: make(map[uint8][2]uint32)},
	}
	v := newVPP(ctx, conn)
	all := v.list()
	complete := t.findLoops(all)
	if v.err != nil {
		return nil, v.err
	}
	if !complete {
		return nil, ErrNotFound
	}
	t.removeUnfinished(v, all)
	t.gates = v.gates(v.nextKnown)
	t.findTables(v)
	t.findDetours(v)
	t.explain()
	if v.err != nil {
		return nil, fmt.Errorf("reading the topology in VPP: %w", v.err)
	}
	return t, nil
}

// findLoops takes our interfaces by their tags. It reports whether all are
// there that a complete topology for this Config has.
func (t *Topology) findLoops(all []listed) bool {
	marked := false
	for _, l := range all {
		rest, ours := strings.CutPrefix(l.tag, t.config.Tag+":")
		if !ours {
			continue
		}
		name, detail, _ := strings.Cut(rest, ":")
		r := role(name)
		switch r {
		case decapNew:
			continue
		case decap:
			br, err := netip.ParseAddr(detail)
			if err != nil {
				return false
			}
			t.brs[br] = &brLoop{index: l.index, foreign: none}
			continue
		case encap:
			marked = l.tag == t.completeTag()
		case nobody:
			t.nowhere, _ = netip.ParseAddr(detail)
		case whole:
			t.whole = l.name
		}
		t.loops[r] = l.index
	}
	for _, r := range roles() {
		if _, has := t.loops[r]; !has {
			return false
		}
	}
	return marked && t.nowhere.Is6()
}

// removeUnfinished takes away what an AddBR left that did not get to its end.
func (t *Topology) removeUnfinished(v *vpp, all []listed) {
	for _, l := range all {
		if !strings.HasPrefix(l.tag, t.config.tag(decapNew)+":") {
			continue
		}
		if _, head := v.applied(l.index); head != none {
			v.unapply(l.index, true, head)
		}
		v.passFragments(l.index, true)
		v.deleteLoopback(l)
	}
}

// nextKnown is the number by which node sends packets to another one, which
// must have been made known to VPP before.
func (v *vpp) nextKnown(node, to string) (index uint32) {
	v.do("next node of "+node, func() error {
		reply, err := v.vlib.GetNextIndex(v.ctx, &vlib.GetNextIndex{NodeName: node, NextName: to})
		if err == nil {
			index = reply.NextIndex
		}
		return err
	})
	return index
}

// findTables takes the tables of decap by their shapes.
func (t *Topology) findTables(v *vpp) {
	_, head := v.applied(t.loops[inside])
	chain := v.following(head)
	if v.err == nil && len(chain) == 0 {
		v.err = errors.New("the classifier of decap is gone")
		return
	}
	t.tables.first = head
	for _, f := range chain {
		t.tables.last = f.index
		if f.is(shapeWhole) {
			t.tables.whole = f.index
		}
		for a := uint8(1); a <= 16; a++ {
			tables, has := t.tables.excluded[a]
			if !has {
				tables = [2]uint32{none, none}
			}
			switch {
			case f.is(excludedPorts(netip.IPv4Unspecified(), a, 0)):
				tables[0] = f.index
			case f.is(excludedIDs(netip.IPv4Unspecified(), a, 0)):
				tables[1] = f.index
			default:
				continue
			}
			t.tables.excluded[a] = tables
		}
	}
	for br, l := range t.brs {
		if _, first := v.applied(l.index); first != head {
			t.brs[br].foreign = first
		}
	}
}
