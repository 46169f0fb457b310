package vpprig

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/lwaftr/lw4o6/integration/vectors"
	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/vppdrv"
)

// config is the driver's configuration for a setup.
func (r *rig) config(s vectors.Setup) vppdrv.Config {
	c := vppdrv.DefaultConfig()
	c.API, c.Stats, c.Punt = r.vpp.API, r.vpp.Stats, r.vpp.Punt
	c.Exceptions = filepath.Join(r.vpp.Dir(), "exceptions.sock")
	c.Forwarding = s.Forwarding()
	return c
}

// The links of VPP and what is behind them.
const (
	vpp4, far4 = "198.18.0.1", "198.18.0.2"
	vpp6, far6 = "2001:db9::1", "2001:db9::2"
)

// route does what an operator does: addresses, neighbours, MTUs and routes. The
// IPv4 Internet is behind one port and every lwB4 behind the other.
func (r *rig) route(s vectors.Setup) {
	p4, p6 := r.ports[dataplane.SideIPv4], r.ports[dataplane.SideIPv6]
	r.vpp.Lines(fmt.Sprintf(`
		set interface ip address %[1]s %[2]s/24
		set ip neighbor %[1]s %[3]s %[4]s
		set interface mtu packet %[9]d %[1]s
		ip route add 0.0.0.0/0 via %[3]s %[1]s
		set interface ip address %[5]s %[6]s/64
		set ip neighbor %[5]s %[7]s %[8]s`,
		p4.Interface, vpp4, far4, p4.MAC, p6.Interface, vpp6, far6, p6.MAC, s.IPv4MTU))
	r.vpp.CLI("ip route add ::/0 via %s %s", far6, p6.Interface)
	r.filter(s)
}

// filter does what an operator does who has nothing to forward but what is for
// BR addresses, and the filters of a setup. What comes and goes of VPP itself
// always passes: by it the rig knows the end of a case.
func (r *rig) filter(s vectors.Setup) {
	const v4, v6 = dataplane.SideIPv4, dataplane.SideIPv6
	own4, own6 := netip.MustParseAddr(vpp4), netip.MustParseAddr(vpp6)
	if s.DropIn[v4] {
		r.gate(v4, input, own4)
	}
	if s.DropOut[v4] {
		r.gate(v4, output, own4)
	}
	if s.DropIn[v6] {
		r.gate(v6, input, own6)
	} else {
		r.gate(v6, input, append(s.Network().BRs, own6)...)
	}
	if s.DropOut[v6] {
		r.gate(v6, output, own6)
	}
}

// The directions of packets, seen from VPP.
const (
	input  = "input"
	output = "output"
)

// gate lets only packets pass that come in to certain addresses, or go out from
// them. What it drops it denies by a session: VPP (26.06) counts a packet that
// misses all of them as one without an error.
func (r *rig) gate(side dataplane.Side, direction string, addresses ...netip.Addr) {
	family, version, source, octets := "ip4", byte(0x40), 12, 4
	if side == dataplane.SideIPv6 {
		family, version, source, octets = "ip6", 0x60, 8, 16
	}
	at := source
	if direction == input {
		at += octets // the destination
	}
	r.table("acl-miss-next deny", 0, []byte{0xf0})
	r.session("deny", 0, []byte{version})
	r.table(fmt.Sprintf("next-table %d", r.tables-1), at, bytes.Repeat([]byte{0xff}, octets))
	for _, a := range addresses {
		r.session("permit", at, a.AsSlice())
	}
	r.vpp.CLI("set interface %s acl intfc %s %s-table %d", direction, r.ports[side].Interface, family, r.tables-1)
}

// table makes a table of the classifier.
func (r *rig) table(miss string, at int, mask []byte) {
	r.vpp.CLI("classify table mask hex %x buckets 16 memory-size 1M current-data-flag 1 current-data-offset 0 %s", key(at, mask), miss)
	r.tables++
}

// session adds a session to the last table.
func (r *rig) session(next string, at int, value []byte) {
	r.vpp.CLI("classify session acl-hit-next %s table-index %d match hex %x", next, r.tables-1, key(at, value))
}

// key is a value at a place in the header of a packet, as the classifier takes
// it: in whole vectors of 16 octets.
func key(at int, value []byte) []byte {
	const vector = 16
	b := make([]byte, (at+len(value)+vector-1)/vector*vector)
	copy(b[at:], value)
	return b
}
