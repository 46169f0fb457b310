package topology

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.fd.io/govpp/api"
	mssclamp "go.fd.io/govpp/binapi/mss_clamp"
)

// Leftover is what was found in VPP that has our mark, complete or not.
type Leftover struct {
	loops []listed
	// The operator's tables that routes into it are in.
	table4, table6 uint32
	nowhere        netip.Addr
}

// Find looks for what has the mark of c, whatever Config it was made for.
func Find(ctx context.Context, conn api.Connection, c Config) (Leftover, error) {
	v := newVPP(ctx, conn)
	l := Leftover{table4: c.IPv4Table, table6: c.IPv6Table}
	for _, i := range v.list() {
		rest, ours := strings.CutPrefix(i.tag, c.Tag+":")
		if !ours {
			continue
		}
		l.loops = append(l.loops, i)
		name, detail, _ := strings.Cut(rest, ":")
		switch role(name) {
		case encap:
			l.madeIn(detail)
		case nobody:
			l.nowhere, _ = netip.ParseAddr(detail)
		}
	}
	return l, v.err
}

// madeIn takes the operator's tables from the tag of encap.
func (l *Leftover) madeIn(detail string) {
	parts := strings.Split(detail, ":")
	if len(parts) != 3 {
		return
	}
	table4, err4 := strconv.ParseUint(parts[1], 10, 32)
	table6, err6 := strconv.ParseUint(parts[2], 10, 32)
	if err4 == nil && err6 == nil {
		l.table4, l.table6 = uint32(table4), uint32(table6)
	}
}

// Remove takes everything out of VPP again: the routes of pools and BR
// addresses first, so that nothing comes in any more.
func (l Leftover) Remove(ctx context.Context, conn api.Connection, c Config, pools []netip.Prefix) error {
	v := newVPP(ctx, conn)
	for _, p := range pools {
		v.route(false, l.table4, p, dropped())
	}
	for _, i := range l.loops {
		if br, err := netip.ParseAddr(brOf(c, i.tag)); err == nil {
			v.route(false, l.table6, netip.PrefixFrom(br, 128), dropped())
		}
	}
	if l.nowhere.IsValid() {
		v.route(false, l.table6, netip.PrefixFrom(l.nowhere, 128), dropped())
	}
	tables := make(map[uint32]bool)
	for _, i := range l.loops {
		head4, head6 := v.applied(i.index)
		for ip6, head := range map[bool]uint32{false: head4, true: head6} {
			if head == none {
				continue
			}
			for _, f := range v.following(head) {
				tables[f.index] = true
			}
			v.unapply(i.index, ip6, head)
		}
	}
	for index := range tables {
		// A session holds on to the FIB table it names until it is deleted
		// itself.
		v.deleteSessions(index, v.sessions(index))
		v.deleteTableIndex(index)
	}
	for _, t := range v.tables() {
		if strings.HasPrefix(text(t.Name), c.Tag+":") {
			v.flushTable(t)
		}
	}
	policers := v.policers(c.Tag + ":")
	// Those that borrow addresses go before the one that lends them. VPP keeps
	// features of an interface for the next one with its number.
	for _, i := range slices.Backward(l.loops) {
		v.disable(c, i)
		for _, name := range policers {
			if i.tag == name || strings.HasPrefix(i.tag, name+":") {
				v.usePolicer(false, name, i.index)
			}
		}
		v.deleteLoopback(i)
	}
	for _, name := range policers {
		v.deletePolicer(name)
	}
	for _, t := range v.tables() {
		if strings.HasPrefix(text(t.Name), c.Tag+":") {
			v.deleteTable(t)
		}
	}
	if v.err != nil {
		return fmt.Errorf("removing the topology from VPP: %w", v.err)
	}
	return nil
}

// disable ends the features of one of our interfaces.
func (v *vpp) disable(c Config, i listed) {
	switch i.tag {
	case c.tag(hairpin), c.tag(whole), c.tag(shared):
		v.passFragments(i.index, false)
	case c.tag(inside):
		if c.MSS > 0 {
			v.clamp(i.index, 0, mssclamp.MSS_CLAMP_DIR_NONE)
		}
	default:
		switch {
		case strings.HasPrefix(i.tag, c.tag(encap)):
			v.passFragments(i.index, false)
		case brOf(c, i.tag) != "":
			v.passFragments(i.index, true)
		}
	}
}

// brOf is the BR address in the tag of a decap, or nothing.
func brOf(c Config, tag string) string {
	for _, r := range []role{decap, decapNew} {
		if br, ok := strings.CutPrefix(tag, c.tag(r)+":"); ok {
			return br
		}
	}
	return ""
}
