package conformance

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/dataplane"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// defaultPatience is for rigs that do not say how patient to be.
const defaultPatience = 10 * time.Second

// lab is a rig with the addresses that the cases use.
type lab struct {
	T
	rig *Rig
	dp  dataplane.Dataplane

	health dataplane.Health
	marker softwire.Softwire
	serial int // of the latest marker

	// Markers that were forwarded, for the cases that count.
	markers dataplane.Traffic // in each direction
}

// The addresses of every lab.
var (
	br1 = netip.MustParseAddr("2001:db8:ffff::1")
	br2 = netip.MustParseAddr("2001:db8:ffff::2")

	host  = netip.MustParseAddr("198.51.100.7") // on the IPv4 Internet
	host2 = netip.MustParseAddr("198.51.100.8")

	ipA = netip.MustParseAddr("192.0.2.1") // of the pools
	ipB = netip.MustParseAddr("192.0.2.2")
	ipC = netip.MustParseAddr("203.0.113.7")
	// ipFree is never bound.
	ipFree = netip.MustParseAddr("192.0.2.77")
)

// network is what every lab configures.
func network() dataplane.Network {
	return dataplane.Network{
		Pools: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("203.0.113.0/24")},
		BRs:   []netip.Addr{br1, br2},
	}
}

// b4 is the address of the n-th lwB4.
func b4(n uint16) netip.Addr {
	a := netip.MustParseAddr("2001:db8:100::1").As16()
	a[6], a[7] = byte(n>>8), byte(n)
	return netip.AddrFrom16(a)
}

// set is a port set; the suite writes only valid ones.
func set(a, k uint8, psid uint16) portset.PortSet {
	s, err := portset.Of(a, k, psid)
	if err != nil {
		panic(fmt.Sprintf("conformance: %v", err))
	}
	return s
}

// whole is the port set of an address that is not shared.
func whole() portset.PortSet { return set(0, 0, 0) }

// The softwires that most cases use: alice and bob share an address, carol has
// one of her own behind the other BR address.
func alice() softwire.Softwire {
	return softwire.Softwire{IPv4: ipA, PortSet: set(0, 6, 5), B4: b4(1), BR: br1}
}
func bob() softwire.Softwire {
	return softwire.Softwire{IPv4: ipA, PortSet: set(0, 6, 9), B4: b4(2), BR: br1}
}
func carol() softwire.Softwire {
	return softwire.Softwire{IPv4: ipC, PortSet: whole(), B4: b4(3), BR: br2}
}

// portOf is a port in the midst of sw's set, and at is it with sw's address.
func portOf(sw softwire.Softwire) uint16 {
	for r := range sw.PortSet.Ranges() {
		return r.First/2 + r.Last/2
	}
	return 0
}

func at(sw softwire.Softwire) netip.AddrPort { return netip.AddrPortFrom(sw.IPv4, portOf(sw)) }

// newLab empties the rig's data plane and checks that it forwards.
func newLab(t T, rig *Rig) *lab {
	t.Helper()
	l := &lab{T: t, rig: rig, dp: rig.Dataplane, marker: softwire.Softwire{
		IPv4: netip.MustParseAddr("203.0.113.254"), PortSet: set(0, 4, 9), B4: b4(250), BR: br1,
	}}
	l.waitUp(dataplane.Health{})
	l.reset()
	// Whatever a case before this one left on the way comes out first.
	l.flush(dataplane.SideIPv4)
	return l
}

// waitUp waits for a health that differs from known and forwards.
func (l *lab) waitUp(known dataplane.Health) {
	l.Helper()
	ctx, cancel := l.patiently()
	defer cancel()
	for l.health = known; l.health.State != dataplane.StateUp || l.health.Same(known); {
		health, err := l.dp.WaitHealth(ctx, l.health)
		if err != nil {
			l.Fatalf("waiting for the data plane to be up: %v; last health %+v", err, l.health)
		}
		l.health = health
	}
	if l.health.Incarnation == 0 {
		l.Fatalf("the data plane is up in incarnation 0")
	}
}

// reset leaves the data plane configured and with the marker's softwire only.
func (l *lab) reset() {
	l.Helper()
	ctx, cancel := l.patiently()
	defer cancel()
	if err := l.dp.Configure(ctx, network()); err != nil {
		l.Fatalf("Configure: %v", err)
	}
	var ops []dataplane.Op
	for key := range l.softwires() {
		ops = append(ops, removal(key))
	}
	l.program(append(ops, dataplane.Op{Kind: dataplane.Put, Softwire: l.marker})...)
}

func (l *lab) patiently() (context.Context, context.CancelFunc) {
	return context.WithTimeout(l.Context(), cmp.Or(l.rig.Patience, defaultPatience))
}

// outputs are the packets that came out of each side.
type outputs map[dataplane.Side][][]byte

// exchange sends packet into side and returns everything that came of it.
func (l *lab) exchange(side dataplane.Side, packet []byte) outputs {
	l.Helper()
	l.send(side, packet)
	return l.flush(side)
}

func (l *lab) send(side dataplane.Side, packet []byte) {
	l.Helper()
	ctx, cancel := l.patiently()
	defer cancel()
	if err := l.rig.Send(ctx, side, packet); err != nil {
		l.Fatalf("sending into the %s side: %v", side, err)
	}
}

// flush returns what came out because of all that was sent into side. A marker
// through that side shows that it was processed and pushes out what left by the
// other side; a marker back pushes out what left by the same side.
func (l *lab) flush(side dataplane.Side) outputs {
	l.Helper()
	got := make(outputs)
	l.mark(side, got)
	l.mark(opposite(side), got)
	return got
}

func opposite(side dataplane.Side) dataplane.Side {
	if side == dataplane.SideIPv4 {
		return dataplane.SideIPv6
	}
	return dataplane.SideIPv4
}

// mark sends a marker into side and collects what comes out of the other side
// before it.
func (l *lab) mark(side dataplane.Side, got outputs) {
	l.Helper()
	l.serial++
	payload := fmt.Appendf(nil, "%s: marker %06d", l.Name(), l.serial)
	remote, own := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.250"), 4000), at(l.marker)
	inner, packet := udp4(remote, own, payload), []byte(nil)
	if side == dataplane.SideIPv4 {
		packet = inner.bytes()
	} else {
		inner = udp4(own, remote, payload)
		packet = outer{src: l.marker.B4, dst: l.marker.BR, hops: 64}.around(inner.bytes())
	}
	l.send(side, packet)
	ctx, cancel := l.patiently()
	defer cancel()
	for out := opposite(side); ; {
		p, err := l.rig.Receive(ctx, out)
		if err != nil {
			l.Fatalf("marker into the %s side: nothing came out of the %s side: %v", side, out, err)
		}
		if bytes.HasSuffix(p, payload) {
			break
		}
		if !housekeeping(p) {
			got[out] = append(got[out], p)
		}
	}
	if side == dataplane.SideIPv4 {
		l.markers.Packets++
		l.markers.Bytes += uint64(len(inner.bytes()))
	}
}

// housekeeping reports whether packet is a link's own business: multicast,
// neighbour discovery, router advertisement.
func housekeeping(packet []byte) bool {
	if len(packet) < 48 || packet[0]>>4 != 6 {
		return false
	}
	const icmp6, routerSolicitation, redirect = 58, 133, 137
	return packet[24] == 0xff ||
		packet[6] == icmp6 && packet[40] >= routerSolicitation && packet[40] <= redirect
}
